//! A short sorted list of page-aligned ranges of physical memory.

use crate::memory::{page_down, page_up};
use abi::layout::PAGE;

/// `[start, end)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Region {
    pub start: u64,
    pub end: u64,
}

impl Region {
    pub const fn bytes(self) -> u64 {
        self.end - self.start
    }
}

/// More ranges than any machine's map has.
const MOST: usize = 64;

/// Sorted, not overlapping, each at least a page.
#[derive(Clone, Copy)]
pub struct Regions {
    list: [Region; MOST],
    len: usize,
}

/// There were more ranges than fit.
#[derive(Debug)]
pub struct TooMany;

impl Regions {
    pub const fn new() -> Regions {
        Regions {
            list: [Region { start: 0, end: 0 }; MOST],
            len: 0,
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Region> + '_ {
        self.list.iter().take(self.len).copied()
    }

    fn push(&mut self, region: Region) -> Result<(), TooMany> {
        if region.start < region.end {
            *self.list.get_mut(self.len).ok_or(TooMany)? = region;
            self.len += 1;
        }
        Ok(())
    }

    /// Adds the whole pages of a range; what is there already stays there once.
    pub fn add(&mut self, start: u64, end: u64) -> Result<(), TooMany> {
        let mut merged = Region {
            start: page_up(start),
            end: page_down(end),
        };
        if merged.start >= merged.end {
            return Ok(());
        }
        let mut result = Regions::new();
        let mut placed = false;
        for region in self.iter() {
            if region.end < merged.start {
                result.push(region)?;
            } else if region.start > merged.end {
                if !placed {
                    result.push(merged)?;
                    placed = true;
                }
                result.push(region)?;
            } else {
                merged.start = merged.start.min(region.start);
                merged.end = merged.end.max(region.end);
            }
        }
        if !placed {
            result.push(merged)?;
        }
        *self = result;
        Ok(())
    }

    /// Takes away every page that the range touches.
    pub fn remove(&mut self, start: u64, end: u64) -> Result<(), TooMany> {
        let (start, end) = (page_down(start), page_up(end));
        let mut result = Regions::new();
        for region in self.iter() {
            result.push(Region {
                start: region.start,
                end: region.end.min(start),
            })?;
            result.push(Region {
                start: region.start.max(end),
                end: region.end,
            })?;
        }
        *self = result;
        Ok(())
    }

    /// Takes `bytes` (whole pages) on a multiple of `align` from the front of the first range
    /// that has room, below `limit`; pages skipped for alignment stay.
    pub fn take(&mut self, bytes: u64, align: u64, limit: u64) -> Option<u64> {
        let align = align.max(PAGE as u64);
        let found = self.iter().find_map(|region| {
            let start = region.start.checked_next_multiple_of(align)?;
            let end = start.checked_add(bytes)?;
            (end <= region.end.min(limit)).then_some(start)
        })?;
        self.remove(found, found + bytes).ok()?;
        Some(found)
    }
}
