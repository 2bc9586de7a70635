//! floatup

pub mod frame;
pub mod motion;
pub mod reaction;
pub mod scatter;
