//! The HTTP face.

pub mod pages;
