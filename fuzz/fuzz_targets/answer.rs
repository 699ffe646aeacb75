//! libFuzzer drives [`tidegate_fuzz::answer`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::answer::run(data));
