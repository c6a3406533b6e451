//! Compiles the C++ shim over libtorch's collectives and switches, and tells every binary and test where libtorch lies, so that
//! they start without environment variables.

use std::error::Error;
use std::path::PathBuf;
use std::{env, io};

const SHIM: [&str; 2] = ["shim/collective.cpp", "shim/deterministic.cpp"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=shim");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let lib = libtorch_lib()?;
    let include = lib.with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .flag("-Wno-unused-parameter")
        .define("USE_DISTRIBUTED", None)
        .define("USE_C10D", None)
        .define("USE_C10D_GLOO", None)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        .include("shim/gloo_declarations")
        .flag("-isystem")
        .flag(include.as_os_str())
        .flag("-isystem")
        .flag(include.join("torch/csrc/api/include").as_os_str())
        .files(SHIM)
        .try_compile("conrec_shim")?;
    let lib = lib.display();
    println!("cargo:rustc-link-search=native={lib}");
    for library in ["torch_cpu", "c10"] {
        println!("cargo:rustc-link-lib={library}");
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    Ok(())
}

/// The folder of libtorch's libraries: from torch-sys where it says so, else below `LIBTORCH`.
fn libtorch_lib() -> io::Result<PathBuf> {
    let found = env::var_os("DEP_TCH_LIBTORCH_LIB")
        .map(PathBuf::from)
        .or_else(|| env::var_os("LIBTORCH").map(|root| PathBuf::from(root).join("lib")))
        .filter(|lib| lib.join("libtorch_cpu.so").is_file());
    found.ok_or_else(|| io::Error::other("libtorch is not there; run scripts/setup"))
}
