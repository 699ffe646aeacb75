//! One fuzz target per untrusted input; the corpora replay in the tests.
