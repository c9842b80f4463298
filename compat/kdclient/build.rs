//! Names the library's binary interface, so that programs linked today find it tomorrow.
#![forbid(unsafe_code)]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libkdclient.so.0");
}
