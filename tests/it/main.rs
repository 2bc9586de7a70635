//! The one integration-test binary.

#![expect(clippy::unwrap_used, reason = "all of it is tests, helpers too")]

mod fuzz_corpus;
mod layers;
mod settings;
mod setup;
mod support;
