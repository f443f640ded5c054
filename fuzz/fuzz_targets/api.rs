//! See [`kipfix_fuzz::api`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::api(data));
