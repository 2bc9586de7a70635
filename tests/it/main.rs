//! The integration tests: one binary, a module per subject.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed, and says where"
)]

mod chromium;
mod pages;
