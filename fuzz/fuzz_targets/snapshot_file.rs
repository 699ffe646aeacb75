//! libFuzzer drives [`tidegate_fuzz::snapshot_file`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::snapshot_file::run(data));
