//! The `floatup` command.
fn main() {}
