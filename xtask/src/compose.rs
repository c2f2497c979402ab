//! From an image description to a boot archive.

use crate::project::Project;
use crate::{program, symbols};
use archive::{MANIFEST, Writer};
use manifest::{Checked, Image, Known, check, source};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The component that the kernel starts and that builds all others.
pub const INIT: &str = "init";

pub struct Packed {
    pub path: PathBuf,
    pub bytes: u64,
    pub image: Image,
}

/// Reads and checks a description; the error lists everything that is wrong with it.
pub fn load(project: &Project, name: &str) -> Result<Checked, String> {
    let path = project.description(name);
    let shown = project.shown(&path);
    let text = std::fs::read_to_string(&path).map_err(|_| {
        let images = project.images().unwrap_or_default().join(", ");
        format!("there is no image `{name}` ({shown}); there are {images}")
    })?;
    check_text(project, &shown, &text)
}

/// Checks a description that was read from `shown`.
pub fn check_text(project: &Project, shown: &str, text: &str) -> Result<Checked, String> {
    let description = source::parse(text).map_err(|e| format!("{shown}: {e}"))?;
    let packages = project.packages()?;
    let binaries: Vec<String> = packages.into_iter().flat_map(|p| p.binaries).collect();
    let interfaces = project.interfaces()?;
    let known = Known {
        binaries: &binaries,
        interfaces: &interfaces,
    };
    check(&description, &known).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(|p| format!("{shown}: {p}")).collect();
        lines.join("\nerror: ")
    })
}

/// Checks the description and packs it with the programs that it names, which must be built.
pub fn pack(project: &Project, name: &str) -> Result<Packed, String> {
    let checked = load(project, name)?;
    for warning in &checked.warnings {
        eprintln!("warning: image {name}: {warning}");
    }
    let image = checked.image;
    let mut writer = Writer::new();
    writer.blob(MANIFEST, &image.encode());
    let binaries: BTreeSet<&str> = image.components.iter().map(|c| c.binary.as_str()).collect();
    let mut functions = Vec::new();
    for binary in [INIT].into_iter().chain(binaries) {
        let path = project.component(binary);
        let program = program::read(&path)?;
        writer.component(binary, program.entry, program.segments);
        functions.push(symbols::read(&path, binary)?);
    }
    writer.blob(
        archive::symbols::ENTRY,
        &archive::symbols::encode(&functions),
    );
    let file = writer
        .finish()
        .map_err(|e| format!("image {name} cannot be packed: {e}"))?;
    let path = project.image(name);
    let failed = |e| format!("{} cannot be written: {e}", project.shown(&path));
    std::fs::create_dir_all(project.target().join("images")).map_err(failed)?;
    std::fs::write(&path, &file).map_err(failed)?;
    Ok(Packed {
        bytes: file.len() as u64,
        path,
        image,
    })
}
