//! Burn-in: a programme in, and the same programme with the reactions in its picture out.

pub mod settings;
