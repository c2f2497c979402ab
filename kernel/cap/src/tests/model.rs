//! The naive model: a map from slots to capabilities and one from entries to their raw words.
//! No tree, no pieces of work, no order that matters: every question is a scan over everything.
//! What it takes for refused is in [`super::rules`].

use super::BASE;
use super::call::{Call, Dest, Values};
use crate::captype::{Equality, Tree, info};
use crate::{Cap, mapping};
use abi::captype::{CapType, MapFlags};
use abi::{CPtr, Rights};
use paging::{Entry, Level};
use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

/// A slot's address.
pub type At = usize;

#[derive(Clone)]
pub struct Model {
    pub slots: BTreeMap<At, Cap>,
    /// Slots whose object is being taken apart, in pieces.
    pub marked: BTreeSet<At>,
    pub entries: BTreeMap<(u64, u16), u64>,
    /// Memory that nobody holds.
    pub orphans: Vec<Cap>,
    /// The slot whose deletion is under way, though it may be empty.
    pub unfinished: Option<At>,
    /// Where the machine's memory begins in the test's own.
    pub memory: At,
    /// The slot that holds the root of the CSpace.
    pub root: At,
    pub gib_pages: bool,
}

/// Do both name the same object?
pub fn same(a: &Cap, b: &Cap) -> bool {
    let words = info(a.ty).equality == Equality::Region || a.data == b.data;
    (a.ty, a.base, a.bytes) == (b.ty, b.base, b.bytes) && words
}

/// Was `a` (perhaps by several steps) made out of `of`?
pub fn descends(a: &Cap, of: &Cap) -> bool {
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

/// The flags that entries get, given what was asked for.
fn forced(mapping: CapType, asked: MapFlags) -> MapFlags {
    match mapping {
        CapType::MapDevFrame => asked | MapFlags::UNCACHED,
        _ => asked,
    }
}

/// The bits that entries have besides, of what is mapped.
fn noted(mapping: CapType) -> u64 {
    match mapping {
        CapType::MapDevFrame => Entry::DEVICE,
        _ => 0,
    }
}

/// The entry of a user page, written out once more.
pub fn page(address: u64, flags: MapFlags) -> u64 {
    let mut raw = address | Entry::PRESENT | Entry::USER;
    for (flag, bits) in [
        (MapFlags::WRITE, Entry::WRITE),
        (MapFlags::LARGE, Entry::LARGE),
        (MapFlags::UNCACHED, Entry::NO_CACHE | Entry::WRITE_THROUGH),
    ] {
        if flags.contains(flag) {
            raw |= bits;
        }
    }
    if flags.contains(MapFlags::EXECUTE) {
        raw
    } else {
        raw | Entry::NO_EXECUTE
    }
}

impl Model {
    /// The capability that may be used.
    pub fn get(&self, at: At) -> Option<Cap> {
        let usable = !self.marked.contains(&at);
        self.slots.get(&at).copied().filter(|_| usable)
    }

    pub fn occupied(&self, at: At) -> bool {
        self.slots.contains_key(&at)
    }

    /// The slots inside an object.
    pub fn inner(&self, cap: &Cap) -> Vec<At> {
        let first = self
            .memory
            .wrapping_add((cap.base.wrapping_sub(BASE)) as usize);
        (0..info(cap.ty).slots(cap.bytes) as usize)
            .map(|n| first + n * 64)
            .collect()
    }

    /// The slot at an address of the CSpace.
    pub fn resolve(&self, at: CPtr) -> Option<At> {
        let root = self
            .get(self.root)
            .filter(|cap| cap.ty == CapType::L1CNode)?;
        let leaf = self.get(*self.inner(&root).get(at.l1() as usize)?)?;
        let leaf = Some(leaf).filter(|cap| cap.ty == CapType::L2CNode)?;
        self.inner(&leaf).get(usize::from(at.l2())).copied()
    }

    /// The slots that are to be filled, where there are such.
    pub fn places(&self, dest: &Dest) -> Option<Vec<At>> {
        match dest {
            Dest::Slot(slot) => Some(std::vec![slot.address()]),
            Dest::Space(first, count) => (0..*count)
                .map(|n| self.resolve(CPtr(first.0.checked_add(n)?)))
                .collect(),
        }
    }

    /// The mapping that an entry belongs to.
    pub fn mapping_at(&self, table: u64, index: u16) -> Option<Cap> {
        self.slots.values().copied().find(|cap| {
            mapping::place(cap)
                .is_some_and(|place| place.table == table && place.run.contains(index))
        })
    }

    /// What a call that nothing forbids does, and answers. `None` where the model is not sure of
    /// the order in which things go: a revoke that takes itself away.
    pub fn apply(&mut self, call: &Call) -> Option<Values> {
        let mut values = [0; 5];
        match *call {
            Call::Root {
                dest,
                ty,
                base,
                bytes,
            } => {
                let cap = Cap {
                    ty,
                    rights: Rights::all(),
                    base,
                    bytes: info(ty).object_bytes(bytes).unwrap_or(bytes),
                    ..Cap::NULL
                };
                self.slots.insert(dest.address(), cap);
            }
            Call::Copy {
                dest, source, mask, ..
            } => {
                let mut cap = self.get(source.address())?;
                cap.rights &= mask;
                self.slots.insert(dest.address(), cap);
            }
            Call::Move { dest, source } => {
                let cap = self.slots.remove(&source.address())?;
                self.slots.insert(dest.address(), cap);
            }
            Call::Identify { slot } => values = told(&self.get(slot.address())?),
            Call::Retype {
                source,
                dest,
                ty,
                offset,
                bytes,
            } => {
                let parent = self.get(source.address())?;
                let bytes = info(ty).object_bytes(bytes).ok()?;
                let nested = ty == parent.ty && info(ty).is_frame();
                for (n, at) in self.places(&dest)?.into_iter().enumerate() {
                    let cap = Cap {
                        ty,
                        base: parent.base + offset + bytes * n as u64,
                        bytes,
                        data: [0; 2],
                        extra: if nested { parent.extra + 1 } else { 0 },
                        ..parent
                    };
                    self.slots.insert(at, cap);
                }
            }
            Call::MakeEntry {
                dest,
                parent,
                words,
            } => {
                let cap = Cap {
                    ty: CapType::Entry,
                    data: words,
                    ..self.get(parent.address())?
                };
                self.slots.insert(dest.address(), cap);
            }
            Call::MakeIrq {
                dest,
                parent,
                words,
            } => {
                let cap = Cap {
                    ty: CapType::Irq,
                    data: words,
                    ..self.get(parent.address())?
                };
                self.slots.insert(dest.address(), cap);
            }
            Call::InstallL2 { l1, index, l2 } => {
                let root = self.get(l1.address())?;
                let at = *self.inner(&root).get(index as usize)?;
                let cap = self.get(l2.address())?;
                self.slots.insert(at, cap);
            }
            Call::Map {
                table,
                source,
                first,
                count,
                flags,
                offset,
                dest,
            } => {
                let (table, source) = (self.get(table.address())?, self.get(source.address())?);
                self.map(&table, &source, first, count, flags, offset, dest.address())?;
            }
            Call::Unmap { mapping, .. } | Call::MappingDestroy { mapping } => {
                self.remove(mapping.address());
            }
            Call::Modify {
                table,
                first,
                count,
                flags,
            } => {
                let table = self.get(table.address())?.base;
                self.modify(table, first, count, flags);
            }
            Call::MappingModify {
                mapping,
                first,
                count,
                flags,
            } => {
                let place = mapping::place(&self.get(mapping.address())?)?;
                self.modify(place.table, place.run.first() + first, count, flags);
            }
            Call::ClearDirty {
                table,
                first,
                count,
            } => {
                let table = self.get(table.address())?.base;
                for index in first..first + count {
                    *self.entries.get_mut(&(table, index))? &= !Entry::DIRTY;
                }
            }
            Call::Read { table, index } => {
                let table = self.get(table.address())?.base;
                values[0] = self.entries.get(&(table, index)).copied().unwrap_or(0);
            }
            Call::Delete { slot } => self.delete(slot.address()),
            Call::Revoke { slot } => {
                let at = slot.address();
                self.revoke(at);
                self.slots.get(&at)?;
            }
            Call::Lookup { at } => values[0] = self.resolve(at)? as u64,
            Call::LookupTyped { at, .. } => values[0] = self.resolve(at)? as u64,
            Call::EmptySlot { at } | Call::Slots { at, .. } => values[0] = self.resolve(at)? as u64,
            Call::Inner { object, n } => {
                let object = self.get(object.address())?;
                values[0] = *self.inner(&object).get(n as usize)? as u64;
            }
            Call::Claim { dest, at } => {
                let cap = self.outermost(at)?;
                self.slots.insert(dest.address(), ram(cap.base, cap.bytes));
                (values[0], values[1]) = (cap.base, cap.bytes);
            }
            Call::Adopt {
                to,
                from,
                first,
                count,
                ..
            } => {
                let (to, from) = (self.get(to.address())?, self.get(from.address())?);
                let pairs = self.inner(&from).into_iter().zip(self.inner(&to));
                for (source, dest) in pairs.skip(first as usize).take(count as usize) {
                    if let Some(cap) = self.get(source) {
                        self.slots.insert(dest, cap);
                    }
                }
            }
            Call::ReplaceRoot { held, new } => {
                let cap = self.get(new.address())?;
                self.slots.insert(held.address(), cap);
            }
            // Which memory it is, is not said beforehand.
            Call::Reclaim { .. } => return None,
        }
        Some(values)
    }

    /// Everything that is being taken apart, taken apart.
    pub fn complete(&mut self) {
        for at in core::mem::take(&mut self.marked) {
            self.delete(at);
        }
    }

    /// Takes the capability away; with the last copy, the object and all that hangs from it. What
    /// is marked already is left to whoever marked it.
    pub fn delete(&mut self, at: At) {
        if self.marked.contains(&at) {
            return;
        }
        let Some(cap) = self.remove(at) else { return };
        if self.slots.values().any(|other| same(other, &cap)) {
            return;
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
            self.delete(victim);
        }
    }

    /// Deletes all copies and descendants, whether or not the slot itself goes with them.
    pub fn revoke(&mut self, at: At) {
        let Some(cap) = self.get(at) else { return };
        let victim = |model: &Model| {
            let wanted = |other: &At, found: &Cap| {
                *other != at && same(found, &cap) || descends(found, &cap)
            };
            let found = model.slots.iter().find(|(at, found)| wanted(at, found));
            found.map(|(at, _)| *at)
        };
        while let Some(victim) = victim(self) {
            self.delete(victim);
        }
    }

    /// Empties a slot, and clears its entries if it is a mapping.
    fn remove(&mut self, at: At) -> Option<Cap> {
        let cap = self.slots.remove(&at)?;
        if let Some(place) = mapping::place(&cap) {
            self.entries
                .retain(|(table, index), _| *table != place.table || !place.run.contains(*index));
        }
        Some(cap)
    }

    #[allow(clippy::too_many_arguments)]
    fn map(
        &mut self,
        table: &Cap,
        source: &Cap,
        first: u16,
        count: u16,
        flags: MapFlags,
        offset: u64,
        dest: At,
    ) -> Option<()> {
        let level = info(table.ty).level?;
        let ty = info(source.ty).mapping?;
        let frame = info(source.ty).is_frame();
        let allowed = match (frame, level) {
            (false, Level::Pt) => Rights::READ,
            _ => Rights::READ | Rights::WRITE | Rights::EXECUTE,
        };
        let cap = Cap {
            ty,
            rights: source.rights & allowed,
            data: [
                table.base + ((level as u64) << 9) + u64::from(first),
                offset,
            ],
            extra: count,
            ..*source
        };
        for n in 0..count {
            let address = source.base + offset + level.page_bytes().unwrap_or(0) * u64::from(n);
            let raw = if frame || level == Level::Pt {
                page(address, forced(ty, flags)) | noted(ty)
            } else {
                source.base | Entry::PRESENT | Entry::WRITE | Entry::USER
            };
            self.entries.insert((table.base, first + n), raw);
        }
        self.slots.insert(dest, cap);
        Some(())
    }

    fn modify(&mut self, table: u64, first: u16, count: u16, flags: MapFlags) {
        for index in first..first + count {
            let ty = self.mapping_at(table, index).map(|cap| cap.ty);
            if let (Some(ty), Some(raw)) = (ty, self.entries.get_mut(&(table, index))) {
                let stays = Entry::LARGE | Entry::DIRTY | Entry::ACCESSED;
                let new = page(
                    *raw & Entry::ADDRESS,
                    forced(ty, flags.difference(MapFlags::LARGE)),
                );
                *raw = new | noted(ty) | *raw & stays;
            }
        }
    }

    /// The largest object of memory that covers an address.
    pub fn outermost(&self, at: u64) -> Option<Cap> {
        let covers =
            |cap: &&Cap| info(cap.ty).is_memory() && cap.base <= at && at < cap.base + cap.bytes;
        let all = self.slots.values().filter(covers);
        all.copied()
            .max_by_key(|cap| (cap.bytes, cap.ty == CapType::Ram))
    }

    /// Objects to which there is a capability that may be used, each once.
    pub fn objects(&self) -> Vec<Cap> {
        let mut objects: Vec<Cap> = Vec::new();
        for at in self.slots.keys() {
            let cap = self.get(*at).filter(|cap| !info(cap.ty).is_mapping());
            objects.extend(cap.filter(|cap| !objects.iter().any(|found| same(found, cap))));
        }
        objects
    }
}

/// What `identify` says: type, rights, base, bytes, and one word of the type's.
fn told(cap: &Cap) -> Values {
    let (mut base, mut bytes, mut word) = (cap.base, cap.bytes, 0);
    match cap.ty {
        CapType::Entry => (base, bytes) = (0, 0),
        CapType::Irq => word = cap.data[0],
        _ => {
            if let Some(place) = mapping::place(cap) {
                let run = u64::from(place.run.first()) | u64::from(place.run.count()) << 16;
                word = run | ((cap.data[1] / 4096) << 32);
            }
        }
    }
    [
        cap.ty as u64,
        u64::from(cap.rights.bits()),
        base,
        bytes,
        word,
    ]
}

/// Fresh Ram.
pub fn ram(base: u64, bytes: u64) -> Cap {
    Cap {
        ty: CapType::Ram,
        rights: Rights::all(),
        base,
        bytes,
        ..Cap::NULL
    }
}
