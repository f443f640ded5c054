//! See [`kipfix_fuzz::export`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::export(data));
