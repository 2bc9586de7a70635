//! floatup

pub mod frame;
pub mod motion;
pub mod reaction;
pub mod scatter;
pub mod emoji;
pub mod sprite;
pub mod stage;
pub mod paint;
pub mod scene;
pub mod log;
pub mod output;
