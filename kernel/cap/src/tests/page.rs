//! The reference page is made of the tables: the types' (`abi::captype`), the operations'
//! (`abi::op`) and the errors' (`abi::error`). With `UPDATE=1` in the environment the
//! test writes it anew.

use crate::captype::{Equality, Holds, Size, info};
use abi::Error;
use abi::captype::CapType;
use abi::op::{INTERFACES, Interface, Operation};
use std::collections::BTreeSet;
use std::format;
use std::string::String;
use std::vec::Vec;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md");

const INTRODUCTION: &str = "\
# Reference: capability types and operations

Generated from the tables in `kernel/abi/src/{captype,op,error}.rs` by `UPDATE=1 cargo test -p
cistern-cap reference`; a test compares. What it means is in [capabilities.md](capabilities.md).

## Types

";

const AFTER_TYPES: &str = "
*Tree*: what the base is a number of; regions of different trees never meet. *Made from*: by RETYPE.
*Cleared*: filled with zero bytes before the capability exists. *Same object if equal*: what two
capabilities must have in common besides the type to be copies. *Holds*: capabilities that lie in the
object itself. *Mapping*: the type of the capability that mapping it makes.

";

const BEFORE_OPERATIONS: &str = "
## Operations

Arguments are `rdi rsi rdx r8 r9`, results `rdi rsi rdx r8`, the operation's number is `rax`, the
capability's address `r10`. Unless it says otherwise an address is one of the caller's own CSpace.
Every type answers NoCapability where nothing lies at the address invoked (or at one that an argument
names), and BadOperation for a number that it does not have; the right that all other operations
of a type need may be missed first. An address has 32 bits: with more it is no capability's and no
slot's (of `r10` only those are looked at). Arguments that an operation does not have, and bits that
it says mean nothing, are ignored; other bits that it has no use for are refused, as the number that
they make: out of range, no such flag, no such size. Nothing has changed when an error is returned, except for
Again: then a bounded piece of the work is done, and the same call goes on.

Ram, Frame, DevFrame and L2CNode have no operations of their own. An Entry is invoked: any number is
the callee's.
";

const HEADING: &str = "| type | number | tree | made from | bytes | cleared | copied | moved | same object if equal | holds | mapping |\n|---|---|---|---|---|---|---|---|---|---|---|\n";

fn bytes(count: u64) -> String {
    match count.trailing_zeros() {
        50.. => format!("{} PiB", count >> 50),
        20..50 => format!("{} MiB", count >> 20),
        10..20 => format!("{} KiB", count >> 10),
        _ => format!("{count}"),
    }
}

fn line(ty: CapType) -> String {
    let info = info(ty);
    let yes = |is: bool| if is { "yes" } else { "" };
    let parents: Vec<String> = info.parents.iter().map(|ty| format!("{ty:?}")).collect();
    let size = match info.size {
        _ if info.is_mapping() || ty == CapType::Entry => "its object's".into(),
        Size::Fixed(fixed) => bytes(fixed),
        Size::Multiple { granule, limit } => {
            format!("× {}, at most {}", bytes(granule), bytes(limit))
        }
    };
    let equal = match info.equality {
        Equality::Region => "region",
        Equality::RegionAndData => "region and words",
    };
    let holds = match info.holds {
        Holds::Nothing => String::new(),
        Holds::Slots => "slots".into(),
        Holds::FirstSlots(count) => format!("{count} slots"),
    };
    format!(
        "| {ty:?} | {} | {:?} | {} | {size} | {} | {} | {} | {equal} | {holds} | {} |\n",
        ty as u8,
        info.tree,
        parents.join(", "),
        yes(info.zeroed),
        yes(info.copyable),
        yes(info.movable),
        info.mapping.map_or(String::new(), |ty| format!("{ty:?}")),
    )
}

fn fields(ty: CapType) -> String {
    let fields = ty.fields().iter();
    let fields: Vec<String> = fields
        .map(|(name, what)| format!("{name}: {what}"))
        .collect();
    format!(
        "| {ty:?} | {} | {} |\n",
        ty.about().trim(),
        fields.join("; ")
    )
}

/// Sentences of doc comments, as one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn registers(letter: char, meanings: &[&str]) -> String {
    if meanings.is_empty() {
        return "none".into();
    }
    let named = meanings.iter().enumerate();
    let named = named.filter(|(_, what)| !what.is_empty());
    let named: Vec<String> = named
        .map(|(n, what)| format!("{letter}{n} {what}"))
        .collect();
    named.join("; ")
}

fn operation(op: &Operation) -> String {
    let mut text = format!(
        "\n#### {} = {}\n\n{}\n\n",
        op.name,
        op.number,
        flat(op.about)
    );
    text += &format!("- arguments: {}\n", registers('a', op.arguments));
    text += &format!(
        "- results: {}\n- rights: {}\n",
        registers('r', op.results),
        op.rights
    );
    for (error, why) in op.errors {
        text += &format!("- {error:?}: {why}\n");
    }
    text
}

fn interface(interface: &Interface) -> String {
    let types: Vec<String> = interface.types.iter().map(|ty| format!("{ty:?}")).collect();
    let title = match types.is_empty() {
        true => format!("The address {:#x}, `OWN`", abi::CPtr::OWN.0),
        false => types.join(", "),
    };
    let mut text = format!("\n### {title}\n\n{}\n", flat(interface.about));
    text.extend(interface.operations.iter().map(operation));
    text
}

fn page() -> String {
    let real = || CapType::ALL.into_iter().filter(|ty| *ty != CapType::Null);
    let mut text = format!("{INTRODUCTION}{HEADING}");
    text.extend(real().map(line));
    text += AFTER_TYPES;
    text += "| type | what it is | what a slot holds besides type and rights |\n|---|---|---|\n";
    text.extend(real().map(fields));
    text += BEFORE_OPERATIONS;
    text.extend(INTERFACES.iter().map(interface));
    text += "\n## Errors\n\n| number | error | |\n|---|---|---|\n";
    for number in 1..64 {
        if let Err(error) = Error::check(number)
            && error as u64 == number
        {
            text += &format!("| {number} | {error:?} | {} |\n", error.text());
        }
    }
    text
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_reference_says_what_the_tables_say() {
    let page = page();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(PATH, &page).unwrap();
    }
    let there = std::fs::read_to_string(PATH).unwrap_or_default();
    assert!(
        there == page,
        "docs/reference.md is old: UPDATE=1 cargo test -p cistern-cap reference"
    );
}

#[test]
fn operations_are_told_apart() {
    let mut seen = BTreeSet::new();
    for interface in INTERFACES {
        for ty in interface.types {
            for op in interface.operations {
                assert!(seen.insert((*ty as u8, op.number)), "{ty:?} {}", op.name);
                let errors: BTreeSet<u64> = op.errors.iter().map(|(e, _)| *e as u64).collect();
                assert_eq!(errors.len(), op.errors.len(), "{}: an error twice", op.name);
                assert!(op.arguments.len() <= 5 && op.results.len() <= 4);
            }
        }
    }
}

#[test]
fn every_type_that_a_table_maps_has_a_mapping_type() {
    let mut mappings = BTreeSet::new();
    for ty in CapType::ALL {
        let line = info(ty);
        // Frames of memory and of devices, and all tables but the top one.
        let frame = matches!(ty, CapType::Frame | CapType::DevFrame);
        let inner = line.level.is_some_and(|level| level != paging::Level::Pml4);
        assert_eq!(line.mapping.is_some(), frame || inner, "{ty:?}");
        if let Some(mapping) = line.mapping {
            assert!(info(mapping).is_mapping());
            assert!(mappings.insert(mapping), "{mapping:?} is of two types");
        }
    }
    let all: BTreeSet<CapType> = crate::captype::MAPPINGS.into_iter().collect();
    assert_eq!(mappings, all);
}
