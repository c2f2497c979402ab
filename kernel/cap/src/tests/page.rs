//! The reference page says what the table of types says.

use crate::captype::{Equality, Holds, Size, info};
use abi::captype::CapType;
use std::format;
use std::string::String;
use std::vec::Vec;

const PAGE: &str = include_str!("../../../../docs/capabilities.md");
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

#[test]
fn the_page_has_the_table_of_types() {
    let real = CapType::ALL.into_iter().filter(|ty| *ty != CapType::Null);
    let table: String = real.map(line).collect();
    assert!(
        PAGE.contains(&format!("{HEADING}{table}")),
        "docs/capabilities.md should contain\n\n{HEADING}{table}"
    );
}
