//! See [`kipfix_fuzz::forward`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::forward(data));
