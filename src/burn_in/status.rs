//! How a burn-in is getting on.

pub use crate::metrics::{Encoding, Programme as Status};
