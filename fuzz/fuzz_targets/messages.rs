//! See [`kipfix_fuzz::messages`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::messages(data));
