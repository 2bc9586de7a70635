//! The one integration-test binary, a module per subject.
#![expect(clippy::unwrap_used, reason = "all of it is tests, helpers too")]

// What tests share.
#[cfg(feature = "ffmpeg")]
mod chart;
mod chromium;
mod floatup;
mod following;
mod in_process;
mod media;
#[cfg(all(target_os = "linux", feature = "ffmpeg"))]
mod screen;
mod scripted;
mod tree;

mod abuse;
mod access;
mod any_input;
mod aws;
mod broker;
mod broker_http;
mod broker_model;
#[cfg(unix)]
mod brokers;
#[cfg(feature = "ffmpeg")]
mod burn_in;
mod burn_in_settings;
mod chat;
mod cli;
mod compositor;
mod control;
#[cfg(feature = "ffmpeg")]
mod cues;
#[cfg(unix)]
mod encryption;
mod end_to_end;
mod events;
#[cfg(target_os = "linux")]
mod faults;
mod feed;
mod fields;
mod fidelity;
mod figures;
mod flashes;
mod formats;
mod fuzz_corpus;
mod desk;
mod gate;
mod images;
mod ivs_chat;
#[cfg(unix)]
mod json_log;
mod key_fill;
mod layers;
mod limits;
mod lines;
mod merging;
mod minting;
mod outputs;
mod pages;
mod presets;
mod protocol;
#[cfg(unix)]
mod readiness;
mod recipes;
mod reload;
#[cfg(feature = "ffmpeg")]
mod secrets;
mod settings;
mod setup;
mod simulate;
mod sinks;
mod source;
mod sources;
#[cfg(unix)]
mod steady;
mod timed_metadata;
mod tokens;
mod tutorial;
mod twitch;
mod vending;
mod verify;
mod webhook;
mod webm;
mod youtube;
