//! Many files at once: what the stubs crate's build script and `idlc` do.

use crate::ast::Interface;
use crate::check::{Member, check_together, lowest_free};
use crate::source::MAX_BYTES;
use crate::{Report, Source, generate, interface};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// One compiled file.
#[derive(Debug)]
pub struct Compiled {
    pub interface: Interface,
    /// The Rust module.
    pub code: String,
}

/// Compiles files that will stand in one image: checks each, then all together.
pub fn compile_all(paths: &[PathBuf]) -> Result<Vec<Compiled>, Report> {
    let parsed = parse_all(paths)?;
    let mut problems = check_together(&members(&parsed));
    if !problems.is_empty() {
        problems.sort_by_key(|(index, _)| *index);
        let shown = problems
            .into_iter()
            .map(|(index, problem)| parsed[index].0.report(vec![problem]));
        return Err(joined(shown));
    }
    let compile = |(source, interface): (Source, Interface)| {
        let file = Path::new(&source.name).file_name().unwrap_or_default();
        let code = generate(&interface, &file.to_string_lossy())?;
        Ok(Compiled { interface, code })
    };
    parsed.into_iter().map(compile).collect()
}

/// Compiles every `.idl` file of `folder` into `out`: `NAME.rs` each, and `interfaces.rs` that
/// declares them all as modules.
pub fn compile_folder(folder: &Path, out: &Path) -> Result<Vec<Compiled>, Report> {
    let compiled = compile_all(&idl_files(folder)?)?;
    let mut index = String::new();
    for Compiled { interface, code } in &compiled {
        let name = &interface.name.text;
        let file = out.join(format!("{name}.rs"));
        index.push_str(&format!("#[path = {file:?}]\npub mod {name};\n"));
        write(&file, code)?;
    }
    write(&out.join("interfaces.rs"), &index)?;
    Ok(compiled)
}

/// The lowest number that no interface of `folder` has: for a new one.
pub fn free_number(folder: &Path) -> Result<u32, Report> {
    let parsed = parse_all(&idl_files(folder)?)?;
    Ok(lowest_free(&members(&parsed)))
}

fn parse_all(paths: &[PathBuf]) -> Result<Vec<(Source, Interface)>, Report> {
    let mut parsed = Vec::new();
    let mut failed = Vec::new();
    for path in paths {
        let one = read(path).and_then(|source| interface(&source).map(|ok| (source, ok)));
        match one {
            Ok(one) => parsed.push(one),
            Err(report) => failed.push(report),
        }
    }
    match failed.is_empty() {
        true => Ok(parsed),
        false => Err(joined(failed)),
    }
}

fn members(parsed: &[(Source, Interface)]) -> Vec<Member<'_>> {
    let pairs = parsed.iter();
    pairs
        .map(|(source, interface)| Member {
            file: &source.name,
            interface,
        })
        .collect()
}

fn joined(reports: impl IntoIterator<Item = Report>) -> Report {
    let mut all = Report::default();
    for report in reports {
        all.join(report);
    }
    all
}

fn idl_files(folder: &Path) -> Result<Vec<PathBuf>, Report> {
    let failed =
        |e: io::Error| Report::plain(format!("{}: cannot be listed: {e}", folder.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "idl") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads one byte more than is accepted, so that a longer file is noticed and not held.
fn read(path: &Path) -> Result<Source, Report> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    match File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        Ok(_) => Source::new(name, &bytes),
        Err(e) => Err(Report::plain(format!("{name}: cannot be read: {e}"))),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Report> {
    fs::write(path, text)
        .map_err(|e| Report::plain(format!("{}: cannot be written: {e}", path.display())))
}
