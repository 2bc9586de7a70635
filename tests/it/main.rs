//! The one integration-test binary.

mod access;
mod broker;
mod events;
mod limits;
mod protocol;
mod support;
mod tokens;
mod tutorial;
mod vending;
