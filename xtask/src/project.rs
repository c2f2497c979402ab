//! Where things are, which components there are, and which interfaces.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

pub struct Project {
    pub root: PathBuf,
}

/// A package that builds components, and their names.
pub struct Package {
    pub name: String,
    pub binaries: Vec<String>,
}

impl Project {
    /// The project that this tool was built from.
    pub fn open() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .map(Path::to_path_buf);
        match root.filter(|r| r.join("Cargo.toml").is_file()) {
            Some(root) => Ok(Self { root }),
            None => Err(
                "the project has moved since this tool was built: run `cargo clean -p xtask`"
                    .into(),
            ),
        }
    }

    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }
    pub fn kernel(&self) -> PathBuf {
        self.target().join("kernel/x86_64-unknown-none/bare/kernel")
    }
    pub fn component(&self, binary: &str) -> PathBuf {
        self.target()
            .join("components/x86_64-unknown-linux-gnu/bare")
            .join(binary)
    }
    pub fn image(&self, name: &str) -> PathBuf {
        self.target().join("images").join(format!("{name}.img"))
    }
    pub fn description(&self, name: &str) -> PathBuf {
        self.root
            .join("components/images")
            .join(format!("{name}.toml"))
    }
    pub fn interfaces_folder(&self) -> PathBuf {
        self.root.join("idl/interfaces")
    }

    /// A path as a person at the project's root would write it.
    pub fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }

    /// Names of all image descriptions.
    pub fn images(&self) -> Result<Vec<String>, String> {
        self.stems("components/images", "toml")
    }

    fn stems(&self, folder: &str, ending: &str) -> Result<Vec<String>, String> {
        let entries = std::fs::read_dir(self.root.join(folder))
            .map_err(|e| format!("{folder} cannot be listed: {e}"))?;
        let paths = entries.flatten().map(|e| e.path());
        let stem = |p: PathBuf| Some(p.file_stem()?.to_str()?.to_string());
        let mut stems: Vec<String> = paths
            .filter(|p| p.extension().is_some_and(|e| e == ending))
            .filter_map(stem)
            .collect();
        stems.sort();
        Ok(stems)
    }

    /// Cargo in the project's root, with this toolchain.
    pub fn cargo(&self) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.current_dir(&self.root);
        // What the caller's cargo set for this tool must not reach the builds it makes.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_DIR"] {
            cargo.env_remove(name);
        }
        cargo
    }

    /// What cargo knows of the workspace's own packages.
    fn metadata(&self) -> Result<Vec<Value>, String> {
        let mut cargo = self.cargo();
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = cargo
            .output()
            .map_err(|e| format!("cargo did not start: {e}"))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(format!("`cargo metadata` failed:\n{}", text.trim_end()));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)
            .map_err(|e| format!("`cargo metadata` cannot be read: {e}"))?;
        Ok(list(&metadata["packages"]))
    }

    /// All packages whose binaries need the feature `component`: those are components.
    pub fn packages(&self) -> Result<Vec<Package>, String> {
        let mut packages = Vec::new();
        for package in self.metadata()? {
            let binaries: Vec<String> = list(&package["targets"])
                .iter()
                .filter(|t| {
                    list(&t["required-features"])
                        .iter()
                        .any(|f| f == "component")
                })
                .map(|t| text(&t["name"]))
                .collect();
            if !binaries.is_empty() {
                packages.push(Package {
                    name: text(&package["name"]),
                    binaries,
                });
            }
        }
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(packages)
    }

    /// Names of all packages and of all that they build.
    pub fn names(&self) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for package in self.metadata()? {
            names.push(text(&package["name"]));
            names.extend(list(&package["targets"]).iter().map(|t| text(&t["name"])));
        }
        Ok(names)
    }

    /// Names and numbers of all interfaces.
    pub fn interfaces(&self) -> Result<Vec<(String, u16)>, String> {
        let mut interfaces = Vec::new();
        for stem in self.stems("idl/interfaces", "idl")? {
            let path = self.interfaces_folder().join(format!("{stem}.idl"));
            let bytes = std::fs::read(&path)
                .map_err(|e| format!("{} cannot be read: {e}", self.shown(&path)))?;
            let parsed =
                idl::Source::new(self.shown(&path), &bytes).and_then(|s| idl::interface(&s));
            let interface = parsed.map_err(|report| report.to_string())?;
            interfaces.push((interface.name.text, interface.number.value));
        }
        Ok(interfaces)
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}
