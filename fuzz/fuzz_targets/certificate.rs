//! libFuzzer drives [`tidegate_fuzz::certificate`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::certificate::run(data));
