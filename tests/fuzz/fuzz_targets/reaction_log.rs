#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| floatup_fuzz::reaction_log(bytes));
