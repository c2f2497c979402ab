//! What the model takes for forbidden: every rule that a call breaks, as the error for it. The
//! system may name any of them when several are broken, must name the one when it is one, and
//! must not refuse when there is none.

use super::call::{Call, Dest};
use super::model::{At, Model, descends, same};
use crate::captype::{Holds, MAX_END, MAX_NESTING, MAX_ZEROED, Size, info};
use crate::clear::PIECE;
use crate::{Cap, mapping};
use abi::captype::{CapType, MapFlags};
use abi::{CPtr, Error, Rights};
use paging::Level;
use std::vec::Vec;

/// The rules that a call breaks.
#[derive(Default)]
pub struct Broken {
    pub errors: Vec<Error>,
    /// Breaks none of the rules, or does not matter: it may be told to come again.
    pub pieces: bool,
}

impl Broken {
    fn when(&mut self, broken: bool, error: Error) {
        if broken && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    /// Without it the other rules have no meaning.
    fn only(error: Error) -> Broken {
        Broken {
            errors: std::vec![error],
            pieces: false,
        }
    }

    fn lacks(&mut self, cap: &Cap, rights: Rights) {
        self.when(!cap.rights.contains(rights), Error::NoRight);
    }
}

fn rights_for(flags: MapFlags) -> Rights {
    Rights::from_bits_truncate(flags.bits() & 7)
}

/// May a page have these flags?
fn page_flags(flags: MapFlags) -> bool {
    flags.contains(MapFlags::READ) && !flags.contains(MapFlags::WRITE | MapFlags::EXECUTE)
}

impl Model {
    /// Every rule that the call breaks.
    pub fn broken(&self, call: &Call) -> Broken {
        let mut broken = Broken::default();
        match *call {
            Call::Root {
                dest,
                ty,
                base,
                bytes,
            } => {
                broken = self.root_rules(ty, base, bytes);
                broken.when(self.occupied(dest.address()), Error::SlotInUse);
            }
            Call::Copy {
                dest,
                source,
                foreign,
                ..
            } => {
                let Some(cap) = self.get(source.address()) else {
                    return Broken::only(Error::NoCapability);
                };
                broken.when(info(cap.ty).is_mapping(), Error::WrongType);
                if foreign {
                    broken.lacks(&cap, Rights::GRANT);
                }
                broken.when(self.occupied(dest.address()), Error::SlotInUse);
            }
            Call::Move { dest, source } => {
                broken.when(self.get(source.address()).is_none(), Error::NoCapability);
                broken.when(self.occupied(dest.address()), Error::SlotInUse);
            }
            Call::Identify { slot } => {
                broken.when(self.get(slot.address()).is_none(), Error::NoCapability);
            }
            Call::Retype {
                source,
                dest,
                ty,
                offset,
                bytes,
            } => return self.retype_rules(source.address(), &dest, ty, offset, bytes),
            Call::MakeEntry { dest, parent, .. } => {
                return self.derive_rules(parent.address(), dest.address(), CapType::Component);
            }
            Call::MakeIrq { dest, parent, .. } => {
                return self.derive_rules(parent.address(), dest.address(), CapType::Kernel);
            }
            Call::InstallL2 { l1, index, l2 } => {
                let types = [(l1, CapType::L1CNode), (l2, CapType::L2CNode)];
                let fits = |(slot, ty): (crate::SlotRef, CapType)| {
                    self.get(slot.address()).is_some_and(|cap| cap.ty == ty)
                };
                if !types.into_iter().all(fits) {
                    return Broken::only(Error::WrongType);
                }
                if let Some(root) = self.get(l1.address()) {
                    broken.lacks(&root, Rights::WRITE);
                    let place = self.inner(&root).get(index as usize).copied();
                    broken.when(place.is_none(), Error::BadSlot);
                    broken.when(place.is_some_and(|at| self.occupied(at)), Error::SlotInUse);
                }
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
                let Some(table) = self.get(table.address()) else {
                    return Broken::only(Error::WrongType);
                };
                let source = self.get(source.address()).unwrap_or(Cap::NULL);
                broken = self.map_rules(&table, &source, first, count, flags, offset);
                broken.when(self.occupied(dest.address()), Error::SlotInUse);
            }
            Call::Unmap { table, mapping } => {
                let (rules, table) = self.table_rules(table.address(), Rights::WRITE);
                broken = rules;
                let mapping = self.get(mapping.address());
                let place = mapping.and_then(|cap| mapping::place(&cap));
                broken.when(place.is_none(), Error::WrongType);
                let other = table
                    .zip(place)
                    .is_some_and(|((base, _), at)| at.table != base);
                broken.when(other, Error::NotMapped);
            }
            Call::Modify {
                table,
                first,
                count,
                flags,
            } => {
                let (rules, table) = self.table_rules(table.address(), Rights::WRITE);
                broken = rules;
                if let Some((table, level)) = table {
                    broken.when(!page_flags(flags), Error::BadFlags);
                    self.run_rules(&mut broken, table, level, first, count);
                    self.flag_rules(&mut broken, table, first, count, flags);
                }
            }
            Call::ClearDirty {
                table,
                first,
                count,
            } => {
                let (rules, table) = self.table_rules(table.address(), Rights::WRITE);
                broken = rules;
                if let Some((table, level)) = table {
                    self.run_rules(&mut broken, table, level, first, count);
                }
            }
            Call::Read { table, index } => {
                let (rules, table) = self.table_rules(table.address(), Rights::READ);
                broken = rules;
                if let Some((_, level)) = table {
                    broken.when(index >= entries(level), Error::OutOfRange);
                }
            }
            Call::MappingModify {
                mapping,
                first,
                count,
                flags,
            } => {
                let place = |cap: Cap| mapping::place(&cap);
                let Some(place) = self.get(mapping.address()).and_then(place) else {
                    return Broken::only(Error::WrongType);
                };
                broken.when(count == 0, Error::BadSize);
                broken.when(!page_flags(flags), Error::BadFlags);
                let end = u32::from(first) + u32::from(count);
                if end > u32::from(place.run.count()) {
                    broken.when(true, Error::OutOfRange);
                } else {
                    let first = place.run.first() + first;
                    self.flag_rules(&mut broken, place.table, first, count, flags);
                }
            }
            Call::MappingDestroy { mapping } => {
                let cap = self.get(mapping.address());
                let mapping = cap.is_some_and(|cap| info(cap.ty).is_mapping());
                broken.when(!mapping, Error::WrongType);
            }
            // What is half deleted can be asked for again.
            Call::Delete { slot } => {
                let at = slot.address();
                let known = self.occupied(at) || self.unfinished == Some(at);
                broken.when(!known, Error::NoCapability);
            }
            Call::Revoke { slot } => match self.get(slot.address()) {
                None => return Broken::only(Error::NoCapability),
                Some(cap) => broken.lacks(&cap, Rights::GRANT),
            },
            Call::Lookup { at } => broken.when(self.at(at).is_none(), Error::NoCapability),
            Call::LookupTyped { at, ty } => match self.at(at) {
                None => return Broken::only(Error::NoCapability),
                Some(cap) => broken.when(cap.ty != ty, Error::WrongType),
            },
            Call::EmptySlot { at } => {
                self.place_rules(&mut broken, at, 1);
                let used = self.resolve(at).is_some_and(|at| self.occupied(at));
                broken.when(used, Error::SlotInUse);
            }
            Call::Slots { at, count } => self.place_rules(&mut broken, at, count),
            Call::Inner { object, n } => {
                let object = self.get(object.address());
                let Some(object) = object.filter(|cap| info(cap.ty).holds != Holds::Nothing) else {
                    return Broken::only(Error::WrongType);
                };
                broken.when(self.inner(&object).len() <= n as usize, Error::BadSlot);
            }
            Call::Reclaim { dest } => {
                broken.when(!self.marked.is_empty(), Error::Again);
                broken.when(self.occupied(dest.address()), Error::SlotInUse);
                broken.when(self.orphans.is_empty(), Error::NotFound);
            }
            Call::Claim { dest, at } => {
                broken.when(!self.marked.is_empty(), Error::Again);
                broken.when(self.occupied(dest.address()), Error::SlotInUse);
                let there = self.outermost(at).map(|cap| cap.ty);
                broken.when(there.is_none(), Error::NotFound);
                broken.when(there == Some(CapType::Ram), Error::Overlaps);
            }
            Call::Adopt {
                to,
                from,
                first,
                count,
                foreign,
            } => {
                let root = |slot: crate::SlotRef| {
                    let cap = self.get(slot.address());
                    cap.filter(|cap| cap.ty == CapType::L1CNode)
                };
                let Some((to, from)) = root(to).zip(root(from)) else {
                    return Broken::only(Error::WrongType);
                };
                broken.lacks(&to, Rights::WRITE);
                broken.lacks(&from, Rights::READ | Rights::WRITE);
                broken.when(!(1..=256).contains(&count), Error::BadSize);
                let (from, to) = (self.inner(&from), self.inner(&to));
                let end = u64::from(first) + u64::from(count);
                let room = from.len().min(to.len()) as u64;
                broken.when(end > room || end > u64::from(u32::MAX), Error::BadSlot);
                let pairs = from.into_iter().zip(to).skip(first as usize);
                for (source, dest) in pairs.take(count as usize) {
                    if let Some(cap) = self.get(source) {
                        broken.when(self.occupied(dest), Error::SlotInUse);
                        if foreign {
                            broken.lacks(&cap, Rights::GRANT);
                        }
                    }
                }
            }
            Call::ReplaceRoot { held, new } => {
                let caps = self.get(held.address()).zip(self.get(new.address()));
                let roots = |(held, new): &(Cap, Cap)| {
                    held.ty == CapType::L1CNode && new.ty == CapType::L1CNode
                };
                let Some((held, _)) = caps.filter(roots) else {
                    return Broken::only(Error::WrongType);
                };
                let copies = self.slots.values().filter(|cap| same(cap, &held));
                broken.when(copies.count() < 2, Error::BadState);
            }
        }
        broken
    }

    fn at(&self, at: CPtr) -> Option<Cap> {
        self.get(self.resolve(at)?)
    }

    fn root_rules(&self, ty: CapType, base: u64, bytes: u64) -> Broken {
        let mut broken = Broken::default();
        let at_boot = [
            CapType::Ram,
            CapType::DevFrame,
            CapType::IoPorts,
            CapType::Kernel,
            CapType::Console,
        ];
        broken.when(!at_boot.contains(&ty), Error::BadRetype);
        let limit = match info(ty).size {
            Size::Multiple { limit, .. } => limit,
            Size::Fixed(_) => MAX_END,
        };
        let Ok(bytes) = info(ty).object_bytes(bytes) else {
            broken.when(true, Error::BadSize);
            return broken;
        };
        let granule = match ty {
            CapType::IoPorts | CapType::Kernel | CapType::Console => 1,
            _ => 4096,
        };
        broken.when(!base.is_multiple_of(granule), Error::BadAlign);
        let end = base.checked_add(bytes).filter(|end| *end <= limit);
        broken.when(end.is_none(), Error::OutOfRange);
        let meets = |other: &Cap| {
            let apart =
                other.base + other.bytes <= base || base.saturating_add(bytes) <= other.base;
            info(other.ty).tree == info(ty).tree && !apart
        };
        let mut all = self.slots.values().chain(&self.orphans);
        broken.when(all.any(meets), Error::Overlaps);
        broken
    }

    fn retype_rules(
        &self,
        source: At,
        dest: &Dest,
        ty: CapType,
        offset: u64,
        bytes: u64,
    ) -> Broken {
        let mut broken = Broken::default();
        let count = match dest {
            Dest::Slot(_) => 1,
            Dest::Space(at, count) => {
                self.place_rules(&mut broken, *at, *count);
                *count
            }
        };
        let places = self.places(dest).unwrap_or_default();
        let used = places.iter().any(|at| self.occupied(*at));
        broken.when(used, Error::SlotInUse);
        // Memory changes hands only when nothing is half deleted.
        broken.when(!self.marked.is_empty(), Error::Again);
        let Some(parent) = self.get(source) else {
            broken.when(true, Error::NoCapability);
            return broken;
        };
        let nested = ty == parent.ty && info(ty).is_frame();
        broken.when(
            !info(ty).parents.contains(&parent.ty) || nested && parent.extra >= MAX_NESTING,
            Error::BadRetype,
        );
        if info(ty).zeroed {
            broken.lacks(&parent, Rights::WRITE);
        }
        let bytes = info(ty).object_bytes(bytes).ok();
        let total = bytes.and_then(|bytes| bytes.checked_mul(u64::from(count)));
        let Some((bytes, total)) = bytes.zip(total) else {
            broken.when(true, Error::BadSize);
            return broken;
        };
        let whole = ty == parent.ty && bytes >= parent.bytes;
        broken.when(
            whole || info(ty).zeroed && total > MAX_ZEROED,
            Error::BadSize,
        );
        let end = offset.checked_add(total);
        broken.when(end.is_none_or(|end| end > parent.bytes), Error::OutOfRange);
        let Some((base, end)) = parent.base.checked_add(offset).zip(end) else {
            return broken;
        };
        let granule = if ty == CapType::IoPorts { 1 } else { 4096 };
        broken.when(!base.is_multiple_of(granule), Error::BadAlign);
        if info(ty).zeroed && total > PIECE {
            broken.pieces = true;
        }
        let end = parent.base.saturating_add(end);
        let meets = |other: &Cap| {
            !info(other.ty).is_mapping()
                && descends(other, &parent)
                && other.base < end
                && base < other.base + other.bytes
        };
        broken.when(self.slots.values().any(meets), Error::Overlaps);
        broken
    }

    fn derive_rules(&self, parent: At, dest: At, from: CapType) -> Broken {
        let Some(parent) = self.get(parent).filter(|cap| cap.ty == from) else {
            return Broken::only(Error::WrongType);
        };
        let mut broken = Broken::default();
        broken.lacks(&parent, Rights::WRITE);
        broken.when(self.occupied(dest), Error::SlotInUse);
        broken
    }

    fn map_rules(
        &self,
        table: &Cap,
        source: &Cap,
        first: u16,
        count: u16,
        flags: MapFlags,
        offset: u64,
    ) -> Broken {
        let (level, frame) = (info(table.ty).level, info(source.ty).is_frame());
        let next = level.is_some_and(|level| level.next() == info(source.ty).level);
        let shown = level == Some(Level::Pt);
        let fits = match (frame, level) {
            (true, Some(level)) => level != Level::Pml4,
            (false, Some(_)) => info(source.ty).mapping.is_some() && (shown || next),
            (_, None) => false,
        };
        let Some(level) = level else {
            return Broken::only(Error::WrongType);
        };
        let mut broken = Broken::default();
        broken.when(!fits, Error::WrongType);
        broken.lacks(table, Rights::WRITE);
        broken.when(count == 0, Error::BadSize);
        let end = u32::from(first) + u32::from(count);
        broken.when(end > u32::from(entries(level)), Error::OutOfRange);
        broken.when(!page_flags(flags), Error::BadFlags);
        let bytes = level.page_bytes().unwrap_or(4096);
        if frame {
            broken.when(
                flags.contains(MapFlags::LARGE) != (level != Level::Pt)
                    || !source.rights.contains(rights_for(flags)),
                Error::BadFlags,
            );
            broken.when(level == Level::Pdpt && !self.gib_pages, Error::NotSupported);
            let end = offset.checked_add(bytes * u64::from(count));
            broken.when(end.is_none_or(|end| end > source.bytes), Error::OutOfRange);
            let address = source.base.wrapping_add(offset);
            broken.when(!address.is_multiple_of(bytes), Error::BadAlign);
        } else {
            broken.when(count != 1, Error::BadSize);
            broken.when(offset != 0, Error::OutOfRange);
            broken.when(flags.contains(MapFlags::LARGE), Error::BadFlags);
            if !fits {
                return broken;
            }
            if shown {
                let only_read = rights_for(flags) == Rights::READ;
                let readable = source.rights.contains(Rights::READ);
                broken.when(!only_read || !readable, Error::BadFlags);
            } else {
                broken.lacks(source, Rights::READ | Rights::WRITE);
            }
        }
        let end = end.min(u32::from(entries(level))) as u16;
        let used = (first..end).any(|n| self.entries.contains_key(&(table.base, n)));
        broken.when(used, Error::EntryInUse);
        broken
    }

    fn table_rules(&self, table: At, rights: Rights) -> (Broken, Option<(u64, Level)>) {
        let table = self.get(table);
        let Some((cap, level)) = table.and_then(|cap| Some((cap, info(cap.ty).level?))) else {
            return (Broken::only(Error::WrongType), None);
        };
        let mut broken = Broken::default();
        broken.lacks(&cap, rights);
        (broken, Some((cap.base, level)))
    }

    /// A run of entries must be one, and all in use.
    fn run_rules(&self, broken: &mut Broken, table: u64, level: Level, first: u16, count: u16) {
        let end = u32::from(first) + u32::from(count);
        broken.when(count == 0, Error::BadSize);
        broken.when(end > u32::from(entries(level)), Error::OutOfRange);
        let mut run = first..end.min(u32::from(entries(level))) as u16;
        let empty = run.any(|n| !self.entries.contains_key(&(table, n)));
        broken.when(empty, Error::EntryEmpty);
    }

    /// Entries that may not have other flags, or not these.
    fn flag_rules(&self, broken: &mut Broken, table: u64, first: u16, count: u16, flags: MapFlags) {
        for index in first..first.saturating_add(count) {
            let cap = self.mapping_at(table, index);
            let place = cap.and_then(|cap| mapping::place(&cap));
            let Some((cap, place)) = cap.zip(place) else {
                continue;
            };
            let page = matches!(cap.ty, CapType::MapFrame | CapType::MapDevFrame);
            let bottom = place.level == Level::Pt;
            broken.when(!page && !bottom, Error::WrongType);
            broken.when(
                !cap.rights.contains(rights_for(flags))
                    || bottom && flags.contains(MapFlags::LARGE),
                Error::BadFlags,
            );
        }
    }

    /// Consecutive slots of one L2 CNode of the CSpace.
    fn place_rules(&self, broken: &mut Broken, at: CPtr, count: u32) {
        broken.when(count == 0, Error::BadSize);
        let past = u64::from(at.l2()) + u64::from(count) > 256;
        let nowhere = self.resolve(at).is_none() || past;
        broken.when(nowhere || at == CPtr::NULL, Error::BadSlot);
        // A CSpace without a root cannot be asked.
        let root = self.get(self.root);
        let root = root.is_some_and(|cap| cap.ty == CapType::L1CNode);
        broken.when(!root, Error::WrongType);
    }
}

/// Entries that user code may edit.
fn entries(level: Level) -> u16 {
    if level == Level::Pml4 { 256 } else { 512 }
}
