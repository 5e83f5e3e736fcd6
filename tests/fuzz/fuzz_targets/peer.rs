#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| drawdown_tests::fuzz::peer(bytes));
