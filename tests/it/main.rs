//! The one integration-test binary.

mod fuzz_corpus;
mod layers;
mod settings;
mod setup;
mod support;
