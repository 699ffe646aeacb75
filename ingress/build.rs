//! How is the program linked?

/// Addresses that the loader has to adjust are a list of a megabyte as a rule, which is read at each start. Packed it is
/// some kilobytes; glibc reads that since 2.36.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |what| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
