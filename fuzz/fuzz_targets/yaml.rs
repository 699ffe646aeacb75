//! libFuzzer drives [`tidegate_fuzz::yaml`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::yaml::run(data));
