//! Every target for cargo-fuzz: see [`kipfix_fuzz::chosen`].
#![no_main]

use kipfix_fuzz::Target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static TARGET: std::sync::LazyLock<Target> = std::sync::LazyLock::new(kipfix_fuzz::chosen);
    (TARGET.run)(data)
});
