//! floatup

pub mod frame;
pub mod reaction;
pub mod scatter;
pub mod server;
