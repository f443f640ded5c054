//! See [`kipfix_fuzz::stream`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::stream(data));
