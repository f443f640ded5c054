//! See [`kipfix_fuzz::inventory`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::inventory(data));
