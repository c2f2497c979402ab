//! What random sequences have reached: each operation with each of its results, and the types that
//! it succeeded for. An error counts where it was the only one to be expected.

use super::rules::Broken;
use crate::captype::{MAPPINGS, info};
use abi::Error;
use abi::captype::CapType;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;
use std::{format, println};

#[derive(Default)]
pub struct Seen(BTreeMap<String, usize>);

impl Seen {
    pub fn count(&mut self, name: &str, kind: [CapType; 2], error: Option<Error>, broken: &Broken) {
        let what = match error {
            Some(Error::Again) if name == "delete" => format!("{name}: Again {:?}", kind[0]),
            Some(Error::Again) => format!("{name}: Again"),
            Some(error) if broken.errors.len() == 1 => format!("{name}: {error:?}"),
            Some(_) => return,
            None => succeeded(name, kind),
        };
        *self.0.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: Seen) {
        for (what, count) in other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Everything that can be reached was.
    pub fn assert_complete(&self) {
        let total: usize = self.0.values().sum();
        let wanted = wanted();
        let lacking: Vec<&String> = wanted
            .iter()
            .filter(|what| !self.0.contains_key(*what))
            .collect();
        println!(
            "{total} calls with an only result, {} of {} kinds",
            wanted.len() - lacking.len(),
            wanted.len()
        );
        assert!(lacking.is_empty(), "never reached: {lacking:#?}");
    }
}

fn succeeded(name: &str, [what, of]: [CapType; 2]) -> String {
    format!("{name}: {what:?} {of:?}")
}

/// Types of which there are capabilities.
fn real() -> impl Iterator<Item = CapType> {
    CapType::ALL.into_iter().filter(|ty| *ty != CapType::Null)
}

/// What sequences must reach: written down, but for what the table of types says.
fn wanted() -> Vec<String> {
    use Error::*;
    let none = CapType::Null;
    let tables = [CapType::Pml4, CapType::Pdpt, CapType::Pd, CapType::Pt];
    let errors: [(&str, &[Error]); 26] = [
        ("reclaim", &[SlotInUse, NotFound, Again]),
        ("claim", &[SlotInUse, NotFound, Overlaps, Again]),
        ("adopt", &[WrongType, NoRight, BadSize, BadSlot, SlotInUse]),
        ("replace root", &[WrongType, BadState]),
        (
            "insert root",
            &[
                SlotInUse, BadRetype, BadSize, BadAlign, OutOfRange, Overlaps,
            ],
        ),
        ("copy", &[NoCapability, WrongType, NoRight, SlotInUse]),
        ("move", &[NoCapability, SlotInUse]),
        ("identify", &[NoCapability]),
        (
            "retype",
            &[
                NoCapability,
                BadRetype,
                NoRight,
                BadSize,
                BadAlign,
                OutOfRange,
                Overlaps,
                SlotInUse,
                BadSlot,
                Again,
            ],
        ),
        ("make entry", &[WrongType, NoRight, SlotInUse]),
        ("make irq", &[WrongType, NoRight, SlotInUse]),
        ("install L2", &[WrongType, NoRight, BadSlot, SlotInUse]),
        (
            "map",
            &[
                WrongType,
                NoRight,
                BadSize,
                OutOfRange,
                BadFlags,
                BadAlign,
                NotSupported,
                EntryInUse,
                SlotInUse,
            ],
        ),
        ("unmap", &[WrongType, NoRight, NotMapped]),
        (
            "modify",
            &[
                WrongType, NoRight, BadSize, OutOfRange, EntryEmpty, BadFlags,
            ],
        ),
        (
            "clear dirty",
            &[WrongType, NoRight, BadSize, OutOfRange, EntryEmpty],
        ),
        ("read", &[WrongType, NoRight, OutOfRange]),
        (
            "mapping modify",
            &[WrongType, BadSize, OutOfRange, BadFlags],
        ),
        ("mapping destroy", &[WrongType]),
        ("delete", &[NoCapability]),
        ("revoke", &[NoCapability, NoRight, Again]),
        ("lookup", &[NoCapability]),
        ("lookup typed", &[NoCapability, WrongType]),
        ("empty slot", &[BadSlot, SlotInUse]),
        ("slots", &[BadSize, BadSlot]),
        ("inner slot", &[WrongType, BadSlot]),
    ];
    let mut wanted = Vec::new();
    for (name, errors) in errors {
        wanted.extend(errors.iter().map(|error| format!("{name}: {error:?}")));
    }
    for name in [
        "lookup",
        "lookup typed",
        "empty slot",
        "slots",
        "install L2",
    ] {
        wanted.push(succeeded(name, [none; 2]));
    }
    for name in [
        "make entry",
        "make irq",
        "reclaim",
        "claim",
        "adopt",
        "replace root",
    ] {
        wanted.push(succeeded(name, [none; 2]));
    }
    for ty in [CapType::Kernel, CapType::Console] {
        wanted.push(succeeded("insert root", [ty, none]));
    }
    for ty in real() {
        for name in ["identify", "move", "delete"] {
            wanted.push(succeeded(name, [ty, none]));
        }
        if !info(ty).is_mapping() {
            wanted.push(succeeded("copy", [ty, none]));
            wanted.push(succeeded("revoke", [ty, none]));
        }
        for parent in info(ty).parents {
            wanted.push(succeeded("retype", [ty, *parent]));
        }
        if info(ty).slots(4096) > 0 {
            wanted.push(succeeded("inner slot", [ty, none]));
            wanted.push(format!("delete: Again {ty:?}"));
        }
    }
    for ty in tables {
        wanted.push(succeeded("read", [ty, none]));
        wanted.push(succeeded("clear dirty", [ty, none]));
    }
    for ty in [CapType::Pdpt, CapType::Pd, CapType::Pt] {
        wanted.push(succeeded("modify", [ty, none]));
    }
    for (object, tables) in [
        (CapType::Frame, &[CapType::Pt, CapType::Pd][..]),
        (
            CapType::DevFrame,
            &[CapType::Pt, CapType::Pd, CapType::Pdpt],
        ),
        (CapType::Pt, &[CapType::Pt, CapType::Pd]),
        (CapType::Pd, &[CapType::Pt, CapType::Pdpt]),
        (CapType::Pdpt, &[CapType::Pt, CapType::Pml4]),
    ] {
        for table in tables {
            wanted.push(succeeded("map", [object, *table]));
            let mapping = info(object).mapping.unwrap_or(none);
            wanted.push(succeeded("mapping destroy", [mapping, *table]));
            wanted.push(succeeded("unmap", [mapping, *table]));
            if *table == CapType::Pt || info(object).is_frame() {
                wanted.push(succeeded("mapping modify", [mapping, *table]));
            }
        }
    }
    assert!(MAPPINGS.iter().all(|ty| info(*ty).is_mapping()));
    wanted
}
