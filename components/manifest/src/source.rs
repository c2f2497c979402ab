//! The description as a person writes it.

use alloc::string::String;
use alloc::vec::Vec;
use serde::Deserialize;

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    pub image: ImageSource,
    #[serde(default)]
    pub component: Vec<ComponentSource>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSource {
    pub name: String,
    /// What the machine must have at least, like `40MiB`.
    pub memory_min: String,
    /// Kernel command line where nobody gives one.
    #[serde(default)]
    pub arguments: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentSource {
    pub name: String,
    /// The program; the component's own name where absent.
    pub binary: Option<String>,
    #[serde(default)]
    pub provides: Vec<String>,
    /// Interfaces, as `net` or, where several provide it, `net@netstack2`.
    #[serde(default)]
    pub invokes: Vec<String>,
    pub heap: Option<HeapSource>,
    pub stack: Option<String>,
    pub pool: Option<PoolSource>,
    pub memory: Option<MemorySource>,
    #[serde(default)]
    pub rights: Vec<String>,
    pub device: Option<DeviceSource>,
    #[serde(default)]
    pub arguments: String,
    /// Faults end the component only, and its supervisor learns of them.
    #[serde(default = "yes")]
    pub supervised: bool,
    /// Started anew after its death; where absent, so is a component without threads and devices.
    pub restart: Option<bool>,
    #[serde(default)]
    pub thread: Vec<ThreadSource>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolSource {
    /// At start.
    pub pages: u64,
    /// What it cannot do without; `pages` where absent.
    pub least: Option<u64>,
    /// What the policy may raise it to; `pages` where absent.
    pub max: Option<u64>,
}

/// `"64KiB"`, or with what it may grow to where it may, and how much of that is set aside (all of it
/// where absent).
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum HeapSource {
    Bytes(String),
    Growing {
        start: String,
        kept: Option<String>,
        max: String,
    },
}

/// `"64MiB"`, or with the alignment where the natural one is not wanted.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum MemorySource {
    Bytes(String),
    Aligned { bytes: String, align: String },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSource {
    /// Vendor and device number, like `1af4:1041`.
    pub pci: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreadSource {
    /// A larger number runs first.
    pub priority: u32,
    #[serde(default)]
    pub argument: u64,
    pub locks: Option<LocksSource>,
}

/// What the author vouches for, of locks that a thread shares with threads that come in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocksSource {
    /// It holds them for moments: nothing is waited for or worked out under one.
    Brief,
}

fn yes() -> bool {
    true
}

/// Reads a description; the error names line and column.
#[cfg(feature = "std")]
pub fn parse(text: &str) -> Result<Description, String> {
    toml::from_str(text).map_err(|e| alloc::format!("{e}").trim_end().into())
}
