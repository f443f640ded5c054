//! See [`kipfix_fuzz::http`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::http(data));
