//! Which call comes next: mostly one that fits what there is, or does but for one thing.

use super::call::{Call, Dest};
use super::dice::Dice;
use super::random::Run;
use super::*;
use crate::captype::MAPPINGS;
use crate::mapping::place;
use abi::captype::CapType;

const TABLES: [CapType; 4] = [CapType::Pt, CapType::Pd, CapType::Pdpt, CapType::Pml4];
const SOURCES: [CapType; 8] = [
    CapType::Frame,
    CapType::Frame,
    CapType::Frame,
    CapType::DevFrame,
    CapType::DevFrame,
    CapType::Pt,
    CapType::Pd,
    CapType::Pdpt,
];
/// Pages of the memory in which most objects are made, so that they meet.
const BUSY_PAGES: u64 = 96;
/// Where a large page may begin, in pages, and its pages.
const LARGE_AT: u64 = 256;
const LARGE_PAGES: u64 = 512;

impl Run {
    /// Slots that hold one of `types`.
    pub fn holding(&self, types: &[CapType]) -> Vec<SlotRef> {
        let wanted = |slot: &&SlotRef| types.contains(&slot.cap().ty);
        self.all.iter().filter(wanted).copied().collect()
    }

    /// Mostly a slot of a type that fits; else any, or an empty one.
    fn among(&self, dice: &mut Dice, types: &[CapType]) -> Option<SlotRef> {
        match dice.below(24) {
            22 => dice.pick(&self.all),
            23 => Some(self.w.boot(FREE + 30 + dice.below(8))),
            _ => {
                let ty = dice.pick(types)?;
                dice.pick(&self.holding(&[ty]))
                    .or_else(|| dice.pick(&self.holding(types)))
            }
        }
    }

    /// A slot to put something in: mostly an empty one, outside or inside a CNode or a Component.
    fn dest(&self, dice: &mut Dice) -> Option<SlotRef> {
        let mut all: Vec<SlotRef> = (FREE..FREE + 24).map(|n| self.w.boot(n)).collect();
        for holder in self.holding(&[CapType::L2CNode, CapType::Component]) {
            if !holder.is_deleting() {
                all.extend(self.w.inner(&holder.cap()).into_iter().take(12));
            }
        }
        if !dice.one_in(12) {
            all.retain(|slot| slot.is_empty());
        }
        dice.pick(&all)
    }

    /// An address of the CSpace: mostly one where there is a slot.
    fn address(&self, dice: &mut Dice) -> CPtr {
        match dice.below(12) {
            0 => CPtr::NULL,
            1 => CPtr(dice.word() as u32 * 65521),
            _ => CPtr::new(dice.below(24) as u32 / 20, dice.word() as u8 % 40),
        }
    }

    fn flags(dice: &mut Dice) -> MapFlags {
        const READ: u8 = MapFlags::READ.bits();
        let bits = match dice.below(12) {
            0..5 => READ,
            5..8 => READ | MapFlags::WRITE.bits(),
            8 => READ | MapFlags::EXECUTE.bits(),
            9 => READ | MapFlags::UNCACHED.bits(),
            10 => READ | MapFlags::LARGE.bits(),
            _ => dice.word() as u8,
        };
        MapFlags::from_bits_truncate(bits)
    }

    /// A run of entries of some table: mostly in use.
    fn run_in_use(&self, dice: &mut Dice) -> Option<(SlotRef, u16, u16)> {
        let mapping = dice.pick(&self.holding(&MAPPINGS));
        let at = mapping.and_then(|mapping| place(&mapping.cap()));
        let tables = self.holding(&TABLES);
        let own = |slot: &&SlotRef| at.is_some_and(|at| at.table == slot.base());
        let own: Vec<SlotRef> = tables.iter().filter(own).copied().collect();
        let count = [1, 1, 1, 2, 3, 4, 0][dice.below(7)];
        match dice.pick(&own).filter(|_| !dice.one_in(6)) {
            Some(own) => Some((own, at?.run.first() + dice.below(8) as u16 / 6, count)),
            None => {
                let first = [0, 5, 100, 255, 511, u16::MAX][dice.below(6)];
                Some((self.among(dice, &TABLES)?, first, count))
            }
        }
    }

    fn retype(&self, dice: &mut Dice) -> Option<Call> {
        const MADE: [CapType; 16] = [
            CapType::Ram,
            CapType::Frame,
            CapType::Frame,
            CapType::Frame,
            CapType::L1CNode,
            CapType::L2CNode,
            CapType::Pml4,
            CapType::Pdpt,
            CapType::Pd,
            CapType::Pt,
            CapType::Pt,
            CapType::Pt,
            CapType::Component,
            CapType::Thread,
            CapType::IoPorts,
            CapType::Entry,
        ];
        let from = [
            CapType::Ram,
            CapType::Ram,
            CapType::Ram,
            CapType::Frame,
            CapType::DevFrame,
            CapType::IoPorts,
        ];
        let source = self.among(dice, &from)?;
        let has = source.cap().ty;
        let ty = match (has, dice.below(12)) {
            (_, 0) => dice.pick(&MADE)?,
            (CapType::Ram, _) => dice.pick(&MADE[..14])?,
            _ => has,
        };
        let unit = if ty == CapType::IoPorts { 1 } else { PAGE };
        let large = dice.one_in(10) && matches!(ty, CapType::Ram | CapType::Frame);
        let pages = match dice.below(24) {
            _ if large => LARGE_PAGES * (1 + dice.below(2) as u64),
            0 => 40,
            1 => dice.below(600) as u64,
            2 => 1 << dice.below(64),
            _ => 1 + dice.below(6) as u64,
        };
        let fixed = matches!(info(ty).size, crate::captype::Size::Fixed(_));
        let bytes = match dice.below(24) {
            0 => pages.wrapping_mul(unit) + 8,
            _ if fixed && dice.below(20) > 0 => 0,
            _ => pages.wrapping_mul(unit),
        };
        // Within the source, and in a corner of it where others are.
        let within = (source.bytes() / unit).clamp(1, BUSY_PAGES);
        let at = match dice.below(16) {
            _ if large && has == CapType::Ram => LARGE_AT,
            0 => source.bytes() / unit,
            1 => 1 << dice.below(64),
            _ => dice.below(within as usize) as u64,
        };
        let skew = if dice.one_in(24) { 8 } else { 0 };
        let dest = match dice.below(6) {
            0 => {
                let count = [1, 2, 3, 4, 0, 300, u32::MAX][dice.below(24) % 7];
                Dest::Space(self.address(dice), count)
            }
            _ => Dest::Slot(self.dest(dice)?),
        };
        Some(Call::Retype {
            source,
            dest,
            ty,
            offset: at.wrapping_mul(unit).wrapping_add(skew),
            bytes,
        })
    }

    fn map(&self, dice: &mut Dice) -> Option<Call> {
        let source = self.among(dice, &SOURCES)?;
        let fits: &[CapType] = match source.cap().ty {
            CapType::Frame if source.bytes() >= 2 << 20 => &[CapType::Pd],
            CapType::Frame => &[CapType::Pt, CapType::Pt, CapType::Pt, CapType::Pd],
            CapType::DevFrame => &[CapType::Pt, CapType::Pd, CapType::Pdpt],
            CapType::Pt => &[CapType::Pt, CapType::Pd],
            CapType::Pd => &[CapType::Pt, CapType::Pdpt],
            CapType::Pdpt => &[CapType::Pt, CapType::Pml4],
            _ => &TABLES,
        };
        let table = self.among(dice, fits)?;
        let frame = info(source.cap().ty).is_frame();
        let mut flags = match frame || table.cap().ty != CapType::Pt {
            true => Run::flags(dice),
            false if dice.one_in(6) => Run::flags(dice),
            false => R,
        };
        if frame && !dice.one_in(8) {
            flags.set(LARGE, table.cap().ty != CapType::Pt);
        }
        let count = match dice.below(12) {
            0 => 0,
            1 => 2 + dice.below(3) as u16,
            2 if frame => 1 + dice.below(512) as u16,
            _ => 1,
        };
        let unit = match table.cap().ty {
            CapType::Pd => 2 << 20,
            CapType::Pdpt => 1 << 30,
            _ => PAGE,
        };
        let offset = match dice.below(12) {
            0 => u64::MAX << dice.below(64),
            1 => 8,
            2 => dice.below(3) as u64 * unit,
            _ if !frame => 0,
            _ => {
                // To a multiple of the page, where the frame begins at none.
                let skew = source.base().wrapping_neg() % unit;
                skew + dice.below(2) as u64 * unit * u64::from(source.bytes() > 2 * unit)
            }
        };
        let first = match dice.below(16) {
            0 => [255, 256, 510, 511, 512, u16::MAX][dice.below(6)],
            _ => dice.below(24) as u16,
        };
        Some(Call::Map {
            table,
            source,
            first,
            count,
            flags,
            offset,
            dest: self.dest(dice)?,
        })
    }

    /// Something to delete or to revoke. The first capabilities seldom, or there is soon nothing left.
    fn victim(&self, dice: &mut Dice) -> Option<SlotRef> {
        let marked = |slot: &SlotRef| slot.is_deleting();
        let halves: Vec<SlotRef> = self.all.iter().copied().filter(marked).collect();
        let slot = match dice.below(16) {
            0 => self.w.boot(FREE + 30),
            1..5 if !halves.is_empty() => dice.pick(&halves)?,
            5..8 => self.among(
                dice,
                &[
                    CapType::L1CNode,
                    CapType::L2CNode,
                    CapType::Component,
                    CapType::Thread,
                    CapType::Pml4,
                ],
            )?,
            _ => dice.pick(&self.all)?,
        };
        let first = (0..FREE).any(|n| self.w.boot(n) == slot);
        (!first || dice.one_in(24)).then_some(slot)
    }

    pub fn choose(&self, dice: &mut Dice) -> Option<Call> {
        Some(match dice.below(70) {
            0..14 => self.retype(dice)?,
            14..18 => Call::Copy {
                source: match dice.one_in(2) {
                    true => self.among(dice, &CapType::ALL)?,
                    false => dice.pick(&self.all)?,
                },
                dest: self.dest(dice)?,
                mask: match dice.one_in(2) {
                    true => Rights::from_bits_truncate(dice.word() as u8),
                    false => Rights::all(),
                },
                foreign: dice.one_in(3),
            },
            18..20 => Call::Move {
                source: self.among(dice, &CapType::ALL)?,
                dest: self.dest(dice)?,
            },
            20 => Call::Identify {
                slot: self.among(dice, &CapType::ALL)?,
            },
            22..35 => self.map(dice)?,
            35 => {
                let mapping = self.among(dice, &MAPPINGS)?;
                let of = place(&mapping.cap()).map(|place| place.table);
                let tables = self.holding(&TABLES);
                let own = tables.iter().filter(|slot| Some(slot.base()) == of);
                let own: Vec<SlotRef> = own.copied().collect();
                let table = match dice.one_in(3) {
                    true => self.among(dice, &TABLES)?,
                    false => dice.pick(&own).or_else(|| dice.pick(&tables))?,
                };
                Call::Unmap { table, mapping }
            }
            36..40 => {
                let (table, first, count) = self.run_in_use(dice)?;
                let flags = Run::flags(dice);
                Call::Modify {
                    table,
                    first,
                    count,
                    flags,
                }
            }
            40..42 => {
                let (table, first, count) = self.run_in_use(dice)?;
                Call::ClearDirty {
                    table,
                    first,
                    count,
                }
            }
            42 => {
                let (table, index, _) = self.run_in_use(dice)?;
                Call::Read { table, index }
            }
            43..46 => Call::MappingModify {
                mapping: self.among(dice, &MAPPINGS)?,
                first: [0, 0, 0, 0, 1, 2, u16::MAX][dice.below(7)],
                count: [1, 1, 1, 1, 2, 0, u16::MAX][dice.below(7)],
                flags: Run::flags(dice),
            },
            21 | 46 => Call::MappingDestroy {
                mapping: self.among(dice, &MAPPINGS)?,
            },
            47..49 => Call::MakeEntry {
                parent: self.among(dice, &[CapType::Component])?,
                dest: self.dest(dice)?,
                words: [dice.below(2) as u64, dice.below(2) as u64],
            },
            49 => Call::MakeIrq {
                parent: self.among(dice, &[CapType::Kernel])?,
                dest: self.dest(dice)?,
                words: [dice.word().into(), dice.below(2) as u64],
            },
            50..52 => Call::InstallL2 {
                l1: self.among(dice, &[CapType::L1CNode])?,
                index: [0, 1, 2, 3, 63, 64, u32::MAX][dice.below(7)],
                l2: self.among(dice, &[CapType::L2CNode])?,
            },
            52..57 => Call::Delete {
                slot: self.victim(dice)?,
            },
            57..59 => Call::Revoke {
                slot: self.victim(dice)?,
            },
            59 => Call::Lookup {
                at: self.address(dice),
            },
            60 => {
                let at = self.address(dice);
                let there = self.model.resolve(at).and_then(|at| self.model.get(at));
                let ty = there.filter(|_| !dice.one_in(3)).map(|cap| cap.ty);
                Call::LookupTyped {
                    at,
                    ty: ty.unwrap_or(CapType::Ram),
                }
            }
            61 => match dice.one_in(2) {
                true => Call::EmptySlot {
                    at: self.address(dice),
                },
                false => Call::Slots {
                    at: self.address(dice),
                    count: [1, 2, 3, 0, 300][dice.below(5)],
                },
            },
            62 => Call::Inner {
                object: self.among(
                    dice,
                    &[CapType::L1CNode, CapType::L2CNode, CapType::Component],
                )?,
                n: [0, 3, 63, 64, 255, 256, u32::MAX][dice.below(7)],
            },
            63 | 64 => Call::Reclaim {
                dest: match dice.one_in(4) {
                    true => dice.pick(&self.all)?,
                    false => self.dest(dice)?,
                },
            },
            65 | 66 => {
                let at = match dice.below(8) {
                    0 => DEVICE,
                    1 => self.model.orphans.first()?.base,
                    _ => dice.pick(&self.all)?.base(),
                };
                Call::Claim {
                    dest: match dice.one_in(4) {
                        true => dice.pick(&self.all)?,
                        false => self.dest(dice)?,
                    },
                    at,
                }
            }
            67 => Call::Adopt {
                to: self.among(dice, &[CapType::L1CNode])?,
                from: self.among(dice, &[CapType::L1CNode])?,
                first: [0, 0, 0, 1, 63, u32::MAX][dice.below(6)],
                count: [1, 1, 2, 64, 0, 257][dice.below(6)],
                foreign: dice.one_in(2),
            },
            68 => {
                let held = self.among(dice, &[CapType::L1CNode])?;
                let new = self.among(dice, &[CapType::L1CNode])?;
                // What a component holds is in no CNode, so nobody can name it as the new one.
                if held == new {
                    return None;
                }
                Call::ReplaceRoot { held, new }
            }
            _ => {
                let ty = dice.pick(&[
                    CapType::Kernel,
                    CapType::IoPorts,
                    CapType::Console,
                    CapType::DevFrame,
                    CapType::Ram,
                    CapType::Frame,
                ])?;
                const BASES: [u64; 9] = [0, 1, 3, 100, PAGE, DEVICE, BASE - 8, 1 << 52, u64::MAX];
                let bytes = [1, 2, 0, PAGE, 3 * PAGE, 1 << 40][dice.below(6)];
                let memory = ty == CapType::Ram;
                Call::Root {
                    dest: self.dest(dice)?,
                    ty,
                    // There is no other memory than the machine's.
                    base: if memory { BASE } else { BASES[dice.below(9)] },
                    bytes: if memory { bytes % (1 << 40) } else { bytes },
                }
            }
        })
    }
}
