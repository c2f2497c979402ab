//! One invocation as a value, so that the system and the model are asked the same.

use super::World;
use crate::SlotRef;
use crate::mapping::place;
use abi::captype::{CapType, MapFlags};
use abi::{CPtr, Error, Rights};

/// Where new capabilities go: one slot, or a run of an L2 CNode of the CSpace.
#[derive(Clone, Copy, Debug)]
pub enum Dest {
    Slot(SlotRef),
    Space(CPtr, u32),
}

/// What a call answers.
pub type Values = [u64; 5];

#[derive(Clone, Copy, Debug)]
pub enum Call {
    Root {
        dest: SlotRef,
        ty: CapType,
        base: u64,
        bytes: u64,
    },
    Copy {
        dest: SlotRef,
        source: SlotRef,
        mask: Rights,
        foreign: bool,
    },
    Move {
        dest: SlotRef,
        source: SlotRef,
    },
    Identify {
        slot: SlotRef,
    },
    Retype {
        source: SlotRef,
        dest: Dest,
        ty: CapType,
        offset: u64,
        bytes: u64,
    },
    MakeEntry {
        dest: SlotRef,
        parent: SlotRef,
        words: [u64; 2],
    },
    MakeIrq {
        dest: SlotRef,
        parent: SlotRef,
        words: [u64; 2],
    },
    InstallL2 {
        l1: SlotRef,
        index: u32,
        l2: SlotRef,
    },
    Map {
        table: SlotRef,
        source: SlotRef,
        first: u16,
        count: u16,
        flags: MapFlags,
        offset: u64,
        dest: SlotRef,
    },
    Unmap {
        table: SlotRef,
        mapping: SlotRef,
    },
    Modify {
        table: SlotRef,
        first: u16,
        count: u16,
        flags: MapFlags,
    },
    ClearDirty {
        table: SlotRef,
        first: u16,
        count: u16,
    },
    Read {
        table: SlotRef,
        index: u16,
    },
    MappingModify {
        mapping: SlotRef,
        first: u16,
        count: u16,
        flags: MapFlags,
    },
    MappingDestroy {
        mapping: SlotRef,
    },
    Delete {
        slot: SlotRef,
    },
    Revoke {
        slot: SlotRef,
    },
    Lookup {
        at: CPtr,
    },
    LookupTyped {
        at: CPtr,
        ty: CapType,
    },
    EmptySlot {
        at: CPtr,
    },
    Slots {
        at: CPtr,
        count: u32,
    },
    Inner {
        object: SlotRef,
        n: u32,
    },
    Reclaim {
        dest: SlotRef,
    },
    Claim {
        dest: SlotRef,
        at: u64,
    },
    Adopt {
        to: SlotRef,
        from: SlotRef,
        first: u32,
        count: u32,
        foreign: bool,
    },
    ReplaceRoot {
        held: SlotRef,
        new: SlotRef,
    },
}

fn address(slot: SlotRef) -> Values {
    [slot.address() as u64, 0, 0, 0, 0]
}

fn region((base, bytes): (u64, u64)) -> Values {
    [base, bytes, 0, 0, 0]
}

impl Call {
    /// Asks the system, once.
    pub fn run(&self, w: &mut World) -> Result<Values, Error> {
        let root = w.boot(super::L1);
        let caps = &mut w.caps;
        const NONE: Values = [0; 5];
        match *self {
            Call::Root {
                dest,
                ty,
                base,
                bytes,
            } => caps.insert_root(dest, ty, base, bytes).map(|()| NONE),
            Call::Copy {
                dest,
                source,
                mask,
                foreign,
            } => caps.copy(dest, source, mask, foreign).map(|()| NONE),
            Call::Move { dest, source } => caps.move_to(dest, source).map(|()| NONE),
            Call::Identify { slot } => {
                let told = caps.identify(slot)?;
                let (ty, rights) = (told.ty as u64, u64::from(told.rights.bits()));
                Ok([ty, rights, told.base, told.bytes, told.specific])
            }
            Call::Retype {
                source,
                dest,
                ty,
                offset,
                bytes,
            } => {
                let run = match dest {
                    // As the kernel does for one.
                    Dest::Slot(slot) => {
                        let made = caps.retype_one(source, slot, ty, offset, bytes);
                        return made.map(|()| NONE);
                    }
                    Dest::Space(at, count) => caps.slots(caps.cspace(root)?, at, count)?,
                };
                caps.retype(source, run, ty, offset, bytes).map(|()| NONE)
            }
            Call::MakeEntry {
                dest,
                parent,
                words: [address, badge],
            } => caps.make_entry(dest, parent, address, badge).map(|()| NONE),
            Call::MakeIrq {
                dest,
                parent,
                words,
            } => caps.make_irq(dest, parent, words).map(|()| NONE),
            Call::InstallL2 { l1, index, l2 } => caps.install_l2(l1, index, l2).map(|()| NONE),
            Call::Map {
                table,
                source,
                first,
                count,
                flags,
                offset,
                dest,
            } => caps
                .map(table, source, first, count, flags, offset, dest)
                .map(|()| NONE),
            Call::Unmap { table, mapping } => caps.unmap(table, mapping).map(|()| NONE),
            Call::Modify {
                table,
                first,
                count,
                flags,
            } => caps.modify(table, first, count, flags).map(|()| NONE),
            Call::ClearDirty {
                table,
                first,
                count,
            } => caps.clear_dirty(table, first, count).map(|()| NONE),
            Call::Read { table, index } => {
                let entry = caps.read(table, index)?;
                Ok([entry.0, 0, 0, 0, 0])
            }
            Call::MappingModify {
                mapping,
                first,
                count,
                flags,
            } => caps
                .mapping_modify(mapping, first, count, flags)
                .map(|()| NONE),
            Call::MappingDestroy { mapping } => caps.mapping_destroy(mapping).map(|()| NONE),
            Call::Delete { slot } => caps.delete(slot).map(|()| NONE),
            Call::Revoke { slot } => caps.revoke(slot).map(|()| NONE),
            Call::Lookup { at } => {
                let space = caps.cspace(root).map_err(|_| Error::NoCapability)?;
                caps.lookup(space, at).map(address)
            }
            Call::LookupTyped { at, ty } => {
                let space = caps.cspace(root).map_err(|_| Error::NoCapability)?;
                caps.lookup_typed(space, at, ty).map(address)
            }
            Call::EmptySlot { at } => caps.empty_slot(caps.cspace(root)?, at).map(address),
            Call::Slots { at, count } => {
                let run = caps.slots(caps.cspace(root)?, at, count)?;
                Ok(address(run.first()))
            }
            Call::Inner { object, n } => caps.inner_slot(object, n).map(address),
            Call::Reclaim { dest } => caps.reclaim(dest).map(region),
            Call::Claim { dest, at } => caps.claim(dest, at).map(region),
            Call::Adopt {
                to,
                from,
                first,
                count,
                foreign,
            } => caps.adopt(to, from, first, count, foreign).map(|()| NONE),
            Call::ReplaceRoot { held, new } => caps.replace_root(held, new).map(|()| NONE),
        }
    }

    /// What is counted: the operation.
    pub fn name(&self) -> &'static str {
        match self {
            Call::Root { .. } => "insert root",
            Call::Copy { .. } => "copy",
            Call::Move { .. } => "move",
            Call::Identify { .. } => "identify",
            Call::Retype { .. } => "retype",
            Call::MakeEntry { .. } => "make entry",
            Call::MakeIrq { .. } => "make irq",
            Call::InstallL2 { .. } => "install L2",
            Call::Map { .. } => "map",
            Call::Unmap { .. } => "unmap",
            Call::Modify { .. } => "modify",
            Call::ClearDirty { .. } => "clear dirty",
            Call::Read { .. } => "read",
            Call::MappingModify { .. } => "mapping modify",
            Call::MappingDestroy { .. } => "mapping destroy",
            Call::Delete { .. } => "delete",
            Call::Revoke { .. } => "revoke",
            Call::Lookup { .. } => "lookup",
            Call::LookupTyped { .. } => "lookup typed",
            Call::EmptySlot { .. } => "empty slot",
            Call::Slots { .. } => "slots",
            Call::Inner { .. } => "inner slot",
            Call::Reclaim { .. } => "reclaim",
            Call::Claim { .. } => "claim",
            Call::Adopt { .. } => "adopt",
            Call::ReplaceRoot { .. } => "replace root",
        }
    }

    /// What is counted beside the operation where it succeeds or is to be continued: the types
    /// that it is about. Asked before the call.
    pub fn kind(&self) -> [CapType; 2] {
        let ty = |slot: SlotRef| slot.ty();
        match *self {
            Call::Root { ty, .. } => [ty, CapType::Null],
            Call::Retype {
                source, ty: made, ..
            } => [made, ty(source)],
            Call::Map { table, source, .. } => [ty(source), ty(table)],
            Call::Unmap { table, mapping } => [ty(mapping), ty(table)],
            Call::Modify { table, .. } | Call::ClearDirty { table, .. } => {
                [ty(table), CapType::Null]
            }
            Call::Read { table, .. } => [ty(table), CapType::Null],
            Call::MappingModify { mapping, .. } | Call::MappingDestroy { mapping } => {
                // The types of tables are in the order of the levels, from the top.
                let level = place(&mapping.cap()).map_or(0, |place| 3 - place.level as usize);
                let tables = [CapType::Pml4, CapType::Pdpt, CapType::Pd, CapType::Pt];
                [ty(mapping), tables[level]]
            }
            Call::Copy { source, .. } | Call::Move { source, .. } => [ty(source), CapType::Null],
            Call::Identify { slot } | Call::Delete { slot } | Call::Revoke { slot } => {
                [ty(slot), CapType::Null]
            }
            Call::Inner { object, .. } => [ty(object), CapType::Null],
            _ => [CapType::Null; 2],
        }
    }
}
