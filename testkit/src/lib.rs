//! Test tools: scripted upstream, byte-exact client, programs under test, eventually.
