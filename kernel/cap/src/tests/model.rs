//! The naive model: a map from slots to capabilities and one from entries to their raw words.
//! No tree, no pieces of work, no order that matters: every question is a scan over everything.

use super::BASE;
use crate::captype::{Equality, MAX_NESTING, MAX_ZEROED, Size, Tree, info};
use crate::{Cap, mapping};
use abi::Rights;
use abi::captype::{CapType, MapFlags};
use paging::{Level, PhysAddr, entry};
use std::collections::BTreeMap;
use std::vec::Vec;

/// A slot's address.
pub type At = usize;

pub struct Model {
    pub slots: BTreeMap<At, Cap>,
    pub entries: BTreeMap<(u64, u16), u64>,
    /// Where the machine's memory begins in the test's own.
    pub memory: usize,
}

fn same(a: &Cap, b: &Cap) -> bool {
    let words = info(a.ty).equality == Equality::Region || a.data == b.data;
    (a.ty, a.base, a.bytes) == (b.ty, b.base, b.bytes) && words
}

/// Was `a` (perhaps by several steps) made out of `of`?
fn descends(a: &Cap, of: &Cap) -> bool {
    let inside = a.base >= of.base && a.base + a.bytes <= of.base + of.bytes;
    let smaller = a.bytes < of.bytes;
    let object = CapType::ALL
        .into_iter()
        .find(|ty| info(*ty).mapping == Some(a.ty));
    inside
        && match (of.ty, a.ty) {
            (CapType::Ram, CapType::Ram) => smaller,
            (CapType::Ram, CapType::MapDevFrame) => false,
            (CapType::Ram, _) => matches!(info(a.ty).tree, Tree::Memory | Tree::Mappings),
            (CapType::Frame | CapType::DevFrame | CapType::IoPorts, _) if a.ty == of.ty => smaller,
            (CapType::Component, CapType::Entry) => true,
            (CapType::Kernel, CapType::Irq) => true,
            // A mapping belongs to exactly the region that was mapped.
            _ => object == Some(of.ty) && !smaller,
        }
}

impl Model {
    fn get(&self, at: At) -> Option<Cap> {
        self.slots.get(&at).copied()
    }

    fn inner(&self, cap: &Cap) -> Vec<At> {
        let first = self
            .memory
            .wrapping_add((cap.base.wrapping_sub(BASE)) as usize);
        (0..info(cap.ty).slots(cap.bytes) as usize)
            .map(|n| first + n * 64)
            .collect()
    }

    pub fn copy(&mut self, dest: At, source: At, mask: Rights, foreign: bool) -> Option<()> {
        let mut cap = self.get(source)?;
        let grant = !foreign || cap.rights.contains(Rights::GRANT);
        let legal = !info(cap.ty).is_mapping() && grant && !self.slots.contains_key(&dest);
        cap.rights &= mask;
        legal.then(|| self.slots.insert(dest, cap)).map(|_| ())
    }

    pub fn move_to(&mut self, dest: At, source: At) -> Option<()> {
        let cap = self.get(source)?;
        if self.slots.contains_key(&dest) {
            return None;
        }
        self.slots.remove(&source);
        self.slots.insert(dest, cap);
        Some(())
    }

    pub fn retype(
        &mut self,
        source: At,
        dest: &[At],
        ty: CapType,
        offset: u64,
        bytes: u64,
    ) -> Option<()> {
        let parent = self.get(source)?;
        let (granule, bytes) = match info(ty).size {
            Size::Fixed(fixed) => (4096, if bytes == 0 { fixed } else { bytes }),
            Size::Multiple { granule, .. } => (granule, bytes),
        };
        let total = bytes * dest.len() as u64;
        let base = parent.base + offset;
        let nested = ty == parent.ty && matches!(ty, CapType::Frame | CapType::DevFrame);
        let free = self.slots.values().all(|other| {
            info(other.ty).is_mapping()
                || !descends(other, &parent)
                || other.base + other.bytes <= base
                || base + total <= other.base
        });
        let legal = info(ty).parents.contains(&parent.ty)
            && bytes > 0
            && bytes.is_multiple_of(granule)
            && offset + total <= parent.bytes
            && base.is_multiple_of(granule.min(4096))
            && !(ty == parent.ty && bytes == parent.bytes)
            && (!info(ty).zeroed || parent.rights.contains(Rights::WRITE) && total <= MAX_ZEROED)
            && !(nested && parent.extra == MAX_NESTING)
            && free
            && dest.iter().all(|at| !self.slots.contains_key(at));
        if !legal {
            return None;
        }
        for (n, at) in dest.iter().enumerate() {
            let cap = Cap {
                ty,
                rights: parent.rights,
                base: base + bytes * n as u64,
                bytes,
                data: [0; 2],
                extra: if nested { parent.extra + 1 } else { 0 },
            };
            self.slots.insert(*at, cap);
        }
        Some(())
    }

    pub fn derive(&mut self, dest: At, parent: At, ty: CapType, data: [u64; 2]) -> Option<()> {
        let parent = self.get(parent)?;
        let from = match ty {
            CapType::Entry => CapType::Component,
            _ => CapType::Kernel,
        };
        let legal = parent.ty == from
            && parent.rights.contains(Rights::WRITE)
            && !self.slots.contains_key(&dest);
        let cap = Cap { ty, data, ..parent };
        legal.then(|| self.slots.insert(dest, cap)).map(|_| ())
    }

    pub fn delete(&mut self, at: At) -> Option<()> {
        let cap = self.slots.remove(&at)?;
        self.clear(&cap);
        if self.slots.values().any(|other| same(other, &cap)) {
            return Some(());
        }
        let hanging = |other: &Cap| {
            let mapped_in = mapping::place(other).is_some_and(|place| place.table == cap.base);
            let entry = other.ty == CapType::Entry && cap.ty == CapType::Component;
            (info(cap.ty).mapping == Some(other.ty) || entry)
                && (other.base, other.bytes) == (cap.base, cap.bytes)
                || info(cap.ty).level.is_some() && mapped_in
        };
        let mut victims: Vec<At> = self
            .slots
            .iter()
            .filter(|(_, other)| hanging(other))
            .map(|(at, _)| *at)
            .collect();
        victims.extend(self.inner(&cap));
        for victim in victims {
            let _ = self.delete(victim);
        }
        Some(())
    }

    pub fn revoke(&mut self, at: At) -> Option<()> {
        let cap = self.get(at)?;
        if !cap.rights.contains(Rights::GRANT) {
            return None;
        }
        while self.slots.contains_key(&at) {
            let copy = self
                .slots
                .iter()
                .find(|(other, found)| **other != at && same(found, &cap));
            let victim = copy.or_else(|| {
                self.slots
                    .iter()
                    .filter(|(_, found)| descends(found, &cap))
                    .min_by_key(|(at, found)| (found.key(), **at))
            });
            let Some((victim, _)) = victim else { break };
            let victim = *victim;
            let _ = self.delete(victim);
        }
        Some(())
    }

    /// Clears the entries of what was a mapping.
    fn clear(&mut self, cap: &Cap) {
        if let Some(place) = mapping::place(cap) {
            self.entries
                .retain(|(table, index), _| *table != place.table || !place.run.contains(*index));
        }
    }

    #[allow(clippy::too_many_arguments)]
    pub fn map(
        &mut self,
        table: At,
        source: At,
        first: u16,
        count: u16,
        flags: MapFlags,
        offset: u64,
        dest: At,
    ) -> Option<()> {
        let table = self.get(table)?;
        let source = self.get(source)?;
        let level = info(table.ty).level?;
        let ty = info(source.ty).mapping?;
        let frame = matches!(source.ty, CapType::Frame | CapType::DevFrame);
        let room = if level == Level::Pml4 { 256 } else { 512 };
        let end = u32::from(first) + u32::from(count);
        let wanted = Rights::from_bits_truncate(flags.bits() & 7);
        let page = level.page_bytes();
        let mut rights = source.rights & !Rights::GRANT;
        let shape = if frame {
            flags.contains(MapFlags::LARGE) == (level != Level::Pt)
                && rights.contains(wanted)
                && (source.base + offset).is_multiple_of(page?)
                && offset + page? * u64::from(count) <= source.bytes
        } else if level == Level::Pt {
            rights &= Rights::READ;
            count == 1 && offset == 0 && flags.bits() & !8 == 1 && rights == Rights::READ
        } else {
            count == 1
                && offset == 0
                && !flags.contains(MapFlags::LARGE)
                && info(source.ty).level == level.next()
                && source.rights.contains(Rights::READ | Rights::WRITE)
        };
        let legal = shape
            && table.rights.contains(Rights::WRITE)
            && count > 0
            && end <= room
            && wanted.contains(Rights::READ)
            && !wanted.contains(Rights::WRITE | Rights::EXECUTE)
            && (first..first + count).all(|n| !self.entries.contains_key(&(table.base, n)))
            && !self.slots.contains_key(&dest);
        if !legal {
            return None;
        }
        let cap = Cap {
            ty,
            rights,
            data: [
                table.base + ((level as u64) << 9) + u64::from(first),
                offset,
            ],
            extra: count,
            ..source
        };
        for n in 0..count {
            let address = source.base + offset + page.unwrap_or(0) * u64::from(n);
            let raw = if frame || level == Level::Pt {
                let device = source.ty == CapType::DevFrame;
                let flags = flags
                    | if device {
                        MapFlags::UNCACHED
                    } else {
                        MapFlags::empty()
                    };
                paging::Entry::page(PhysAddr(address), flags).ok()?.0
            } else {
                source.base | 7
            };
            self.entries.insert((table.base, first + n), raw);
        }
        self.slots.insert(dest, cap);
        Some(())
    }

    pub fn unmap(&mut self, table: At, at: At) -> Option<()> {
        let (table, cap) = (self.get(table)?, self.get(at)?);
        info(table.ty).level?;
        let place = mapping::place(&cap)?;
        let legal = place.table == table.base && table.rights.contains(Rights::WRITE);
        legal.then(|| self.delete(at)).flatten()
    }

    pub fn modify(&mut self, table: At, first: u16, count: u16, flags: MapFlags) -> Option<()> {
        let table = self.get(table)?;
        info(table.ty).level?;
        if !table.rights.contains(Rights::WRITE) || count == 0 {
            return None;
        }
        entry::check(flags).ok()?;
        let mut changed = Vec::new();
        for index in first..first.checked_add(count)? {
            let raw = *self.entries.get(&(table.base, index))?;
            let (cap, place) = self.slots.values().find_map(|cap| {
                let place = mapping::place(cap)?;
                (place.table == table.base && place.run.contains(index)).then_some((cap, place))
            })?;
            let frame = matches!(cap.ty, CapType::MapFrame | CapType::MapDevFrame);
            let legal = (frame || place.level == Level::Pt)
                && cap
                    .rights
                    .contains(Rights::from_bits_truncate(flags.bits() & 7))
                && !(flags.contains(MapFlags::LARGE) && place.level == Level::Pt);
            let device = cap.ty == CapType::MapDevFrame;
            let flags = flags
                | if device {
                    MapFlags::UNCACHED
                } else {
                    MapFlags::empty()
                };
            let old = paging::Entry(raw);
            let size = if old.is_large() {
                MapFlags::LARGE
            } else {
                MapFlags::empty()
            };
            let new = paging::Entry::page(old.address(), flags | size).ok()?;
            let used = paging::Entry::ACCESSED | paging::Entry::DIRTY;
            let raw = new.0 | raw & used;
            changed.push(((table.base, index), legal.then_some(raw)?));
        }
        self.entries.extend(changed);
        Some(())
    }

    pub fn mapping_modify(
        &mut self,
        at: At,
        first: u16,
        count: u16,
        flags: MapFlags,
    ) -> Option<()> {
        let place = mapping::place(&self.get(at)?)?;
        if first.checked_add(count)? > place.run.count() {
            return None;
        }
        // Some table capability with all rights, to ask the same question of the table.
        let table = Cap {
            ty: match place.level {
                Level::Pt => CapType::Pt,
                Level::Pd => CapType::Pd,
                Level::Pdpt => CapType::Pdpt,
                Level::Pml4 => CapType::Pml4,
            },
            rights: Rights::all(),
            base: place.table,
            bytes: 4096,
            ..Cap::NULL
        };
        self.slots.insert(0, table);
        let result = self.modify(0, place.run.first() + first, count, flags);
        self.slots.remove(&0);
        result
    }
}
