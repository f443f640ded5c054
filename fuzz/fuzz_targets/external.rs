//! See [`kipfix_fuzz::external`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::external(data));
