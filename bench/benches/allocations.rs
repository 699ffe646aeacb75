//! What does a request allocate?
fn main() {}
