//! The one integration-test binary.

mod broker;
mod events;
mod protocol;
mod support;
mod tokens;
mod tutorial;
