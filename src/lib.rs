//! floatup

// Core: pure. No clock, IO, environment, thread or tokio.
pub mod frame;
pub mod motion;
pub mod reaction;
pub mod scatter;
pub mod token;
pub mod emoji;
pub mod sprite;
pub mod stage;
pub mod paint;
pub mod scene;
pub mod log;
// Shell.
pub mod metrics;
pub mod topic;
pub mod source;
pub mod output;
pub mod server;
// Top.
pub mod config;
pub mod look;
pub mod channel;
pub mod command;
