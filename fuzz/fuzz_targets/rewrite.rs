//! libFuzzer drives [`tidegate_fuzz::rewrite`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::rewrite::run(data));
