//! Reactions burned into real media.

mod sync;
