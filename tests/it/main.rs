//! The one integration-test binary.
#![expect(clippy::unwrap_used, reason = "all of it is tests, helpers too")]

mod chromium;
mod cli;
mod end_to_end;
mod floatup;
mod fuzz_corpus;
mod layers;
mod media;
mod pages;
mod settings;
mod setup;
mod support;
