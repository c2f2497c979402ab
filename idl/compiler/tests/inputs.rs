//! Every file of `inputs/ok` compiles, to the Rust beside it (`NAME.rs`) where there is one;
//! every file of `inputs/err` gives exactly the text beside it (`NAME.txt`). A folder is a set
//! of files that belong together. `BLESS=1` writes what is beside them anew: read the diff.

use idl::{Report, Source};
use std::fs;
use std::path::{Path, PathBuf};

fn entries(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/inputs")
        .join(folder);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.is_dir() || path.extension().is_some_and(|e| e == "idl"));
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Compiles one file, or the files of a folder; messages name files without their folders.
fn compile(path: &Path) -> Result<Vec<String>, Report> {
    if path.is_dir() {
        let mut files: Vec<_> = fs::read_dir(path)
            .unwrap()
            .map(|f| f.unwrap().path())
            .collect();
        files.sort();
        let compiled = idl::compile_all(&files).map_err(|report| {
            Report::plain(
                report
                    .to_string()
                    .replace(&format!("{}/", path.display()), "")
                    .trim_end(),
            )
        })?;
        return Ok(compiled.into_iter().map(|one| one.code).collect());
    }
    let source = Source::new(name(path), &fs::read(path).unwrap())?;
    let interface = idl::interface(&source)?;
    Ok(vec![idl::generate(&interface, &source.name)?])
}

/// `text` is what the file `beside` says.
fn same(beside: &Path, text: &str) -> Result<(), String> {
    if std::env::var_os("BLESS").is_some() {
        fs::write(beside, text).unwrap();
    }
    let expected = fs::read_to_string(beside).unwrap_or_default();
    match expected == text {
        true => Ok(()),
        false => Err(format!(
            "{}: expected\n{expected}\nbut got\n{text}",
            beside.display()
        )),
    }
}

#[test]
fn ok_inputs_compile() {
    let inputs = entries("ok");
    assert!(inputs.len() >= 15);
    let mut failed = Vec::new();
    for path in &inputs {
        let result = match compile(path) {
            Err(report) => Err(format!("{}: {report}", name(path))),
            Ok(codes) => {
                let beside = path.with_extension("rs");
                let code = codes.concat();
                if beside.exists() {
                    same(&beside, &code)
                } else {
                    Ok(())
                }
            }
        };
        failed.extend(result.err());
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn err_inputs_give_the_text_beside_them() {
    let inputs = entries("err");
    assert!(inputs.len() >= 60);
    let mut failed = Vec::new();
    for path in &inputs {
        let result = match compile(path) {
            Ok(_) => Err(format!("{} compiles", name(path))),
            Err(report) => same(&path.with_extension("txt"), &report.to_string()),
        };
        failed.extend(result.err());
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
