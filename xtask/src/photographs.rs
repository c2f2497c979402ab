//! Photographs to upload: views of a set with known truth, and the requests that carry files.

use crate::project::Project;
use std::fs;
use std::path::PathBuf;

/// Files of a set, the same every time.
pub struct Photos {
    pub paths: Vec<PathBuf>,
    pub files: Vec<Vec<u8>>,
}

/// The first `count` views of a set, as PNG files below `target/`.
pub fn views(project: &Project, set: &str, count: usize) -> Result<Photos, String> {
    let folder = project.target().join("photographs").join(set);
    let mut cargo = project.cargo();
    cargo.args(["run", "--quiet", "-p", "cistern-stages", "--example"]);
    cargo.args(["photographs", "--", set]).arg(&folder);
    let status = cargo.status().map_err(|e| format!("cargo: {e}"))?;
    if !status.success() {
        return Err("the photographs cannot be made".into());
    }
    read((0..count).map(|n| folder.join(format!("{n}.png"))))
}

/// Photographs of a camera's kind, from the repository: JPEG files that overlap.
pub fn jpegs(project: &Project) -> Result<Photos, String> {
    named(project, ["left.jpg", "right.jpg"])
}

/// Two smaller ones.
pub fn small(project: &Project) -> Result<Photos, String> {
    named(project, ["small-left.jpg", "small-right.jpg"])
}

fn named(project: &Project, names: [&str; 2]) -> Result<Photos, String> {
    let folder = project.root.join("xtask/photographs");
    read(names.map(|name| folder.join(name)).into_iter())
}

/// A small file that takes 90 MiB to decode.
pub fn deep(project: &Project) -> Result<Vec<u8>, String> {
    let deep = read([project.root.join("xtask/photographs/deep.png")].into_iter())?;
    Ok(deep.files.concat())
}

fn read(paths: impl Iterator<Item = PathBuf>) -> Result<Photos, String> {
    let paths: Vec<_> = paths.collect();
    let read = |path: &PathBuf| fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let files = paths.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Photos { paths, files })
}

/// A request that uploads files.
pub fn upload<F: AsRef<[u8]>>(files: &[F]) -> Vec<u8> {
    let mut body = Vec::new();
    for (n, file) in files.iter().enumerate() {
        let head = format!(
            "--b0undary\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"{n}\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file.as_ref());
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b0undary--\r\n");
    let head = format!(
        "POST /stitch HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary=b0undary\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// Width and height of a PNG file that has its beginning and its end.
pub fn size(file: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| Some(u32::from_be_bytes(*file.get(at..)?.first_chunk()?));
    let whole = file.starts_with(b"\x89PNG\r\n\x1a\n") && file.ends_with(b"IEND\xaeB`\x82");
    whole.then_some((side(16)?, side(20)?))
}
