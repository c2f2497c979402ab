//! Compiles every interface file to a module in `OUT_DIR`.

use std::path::Path;
use std::process::ExitCode;

const INTERFACES: &str = "../interfaces";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={INTERFACES}");
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    match idl::compile_folder(Path::new(INTERFACES), Path::new(&out)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(report) => {
            eprint!("{report}");
            ExitCode::FAILURE
        }
    }
}
