//! floatup

pub mod frame;
pub mod reaction;
pub mod scatter;
