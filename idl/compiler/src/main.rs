//! `idlc [--out FOLDER] FILE.idl...`: checks interface files that belong together and lists
//! them; with `--out` writes a Rust module for each.
//! Exit status: 0 done, 1 a problem in a file, 2 not understood.

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: idlc [--out FOLDER] FILE.idl...";

fn main() -> ExitCode {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut out: Option<PathBuf> = None;
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--help" | "-h") => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            Some("--out") => match arguments.next() {
                Some(folder) => out = Some(folder.into()),
                None => return misused("--out needs a folder"),
            },
            Some(text) if text.starts_with('-') => {
                return misused(&format!("there is no option {text}"));
            }
            _ => files.push(argument.into()),
        }
    }
    if files.is_empty() {
        return misused("no file is named");
    }
    match run(&files, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            eprint!("{report}");
            ExitCode::from(1)
        }
    }
}

fn misused(why: &str) -> ExitCode {
    eprintln!("{why}\n{USAGE}");
    ExitCode::from(2)
}

fn run(files: &[PathBuf], out: Option<PathBuf>) -> Result<(), idl::Report> {
    for compiled in idl::compile_all(files)? {
        let interface = &compiled.interface;
        let name = &interface.name.text;
        println!(
            "{name}: interface {}, {} functions, {} structs",
            interface.number.value,
            interface.functions.len(),
            interface.structs.len()
        );
        if let Some(folder) = &out {
            let path = folder.join(format!("{name}.rs"));
            std::fs::write(&path, &compiled.code).map_err(|e| {
                idl::Report::plain(format!("{}: cannot be written: {e}", path.display()))
            })?;
        }
    }
    Ok(())
}
