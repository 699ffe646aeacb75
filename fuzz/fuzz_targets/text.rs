//! libFuzzer drives [`tidegate_fuzz::text`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::text::run(data));
