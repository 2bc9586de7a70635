#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| floatup_fuzz::stylesheet(text));
