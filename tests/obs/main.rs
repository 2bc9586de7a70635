//! What a real OBS Studio makes of floatup's output. Linux alone has the network namespace that
//! it runs in.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "all of it is tests, helpers too")]

// What tests share, with the other integration tests too.
#[expect(dead_code, reason = "the other integration tests use the rest")]
#[path = "../it/floatup.rs"]
mod floatup;
#[expect(dead_code, reason = "the other integration tests use the rest")]
#[path = "../it/media.rs"]
mod media;
#[path = "../it/screen.rs"]
mod screen;

// OBS, and what it ought to show.
mod blend;
mod chart;
mod configuration;
mod expected;
mod isolation;
mod studio;
mod websocket;

mod files;
mod live;
