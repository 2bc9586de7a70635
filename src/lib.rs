//! floatup

pub mod frame;

pub mod reaction;

pub mod scatter;

pub mod token;

pub mod metrics;

pub mod topic;

pub mod server;
