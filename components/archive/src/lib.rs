//! The boot archive: one file that carries an image's description and its components.
//!
//! Guarantees: [`Archive::open`] checks magic, version, length, checksum and the range of every
//! entry and segment before it answers, so nothing that is read later can be out of range; no
//! input makes it panic; nothing is copied.
//! Trusts: nothing in the file. The checksum finds accidents, not an attacker, so each check is
//! made although the checksum matched.
//! Never does: allocate, parse ELF (the build tool has done that), or decide where things go.
//!
//! The file, all numbers little-endian: [`format::Header`] fields, the entries, the segments of
//! all component entries, then data. A component's data lie on page boundaries and fill whole
//! pages, so that a loader copies or maps them page by page. One blob names the functions of all
//! programs ([`symbols`]).

#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

mod error;
mod format;
mod read;
pub mod symbols;
#[cfg(feature = "std")]
mod write;

pub use error::Error;
pub use format::{COMPONENT_PREFIX, MAX_ENTRIES, MAX_SEGMENTS, NAME_BYTES, VERSION, reseal};
pub use read::{Archive, Component, Content, Entry, Segment};
#[cfg(feature = "std")]
pub use write::{SegmentSource, WriteError, Writer};

/// The entry that holds the image's checked description, in its binary form.
pub const MANIFEST: &str = "manifest";

/// What a segment allows; the same bits as in a capability's rights.
pub use abi::Rights as Flags;
