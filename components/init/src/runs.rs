//! A range of addresses as runs of page-table entries: one run for each last-level table that
//! the range touches.

use abi::layout::PAGE;

/// Entries in a table.
pub const ENTRIES: u64 = 512;
/// What one last-level table covers.
pub const TABLE_BYTES: u64 = ENTRIES * PAGE as u64;

/// Consecutive entries of one last-level table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// Address of the first page.
    pub address: u64,
    pub first: u16,
    pub count: u16,
}

/// The runs of `pages` pages from `address` (a page boundary) on.
pub fn runs(address: u64, pages: u64) -> impl Iterator<Item = Run> {
    let page = PAGE as u64;
    let (mut at, mut left) = (address, pages);
    core::iter::from_fn(move || {
        let first = at / page % ENTRIES;
        let count = left.min(ENTRIES - first);
        let run = Run {
            address: at,
            first: first as u16,
            count: count as u16,
        };
        (at, left) = (at.checked_add(count * page)?, left - count);
        (count > 0).then_some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    #[test]
    fn splits_at_table_borders() {
        let run = |address, first, count| Run {
            address,
            first,
            count,
        };
        let all: Vec<_> = runs(0x3f_e000, 515).collect();
        assert_eq!(
            all,
            [
                run(0x3f_e000, 510, 2),
                run(0x40_0000, 0, 512),
                run(0x60_0000, 0, 1),
            ]
        );
        assert_eq!(runs(0x1000, 0).count(), 0);
    }

    proptest! {
        #[test]
        fn cover_every_page_once(page in 0..1u64 << 35, pages in 0..5000u64) {
            let mut next = page * 4096;
            for run in runs(next, pages) {
                prop_assert_eq!(run.address, next);
                prop_assert_eq!(u64::from(run.first), next / 4096 % ENTRIES);
                prop_assert!(run.count > 0 && run.first + run.count <= ENTRIES as u16);
                next += u64::from(run.count) * 4096;
            }
            prop_assert_eq!(next, (page + pages) * 4096);
        }
    }
}
