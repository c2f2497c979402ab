//! Random sequences of all operations: against the model, and with deletions left half done.

use super::model::Model;
use super::*;
use crate::mapping::place;
use abi::captype::CapType;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// One step: numbers that [`Run::step`] makes a sensible operation of.
type Step = (u8, u16, u16, u16, u16);

struct Run {
    w: World,
    /// Absent where deletions are left half done, which the model does not know.
    model: Option<Model>,
    outcomes: BTreeMap<&'static str, (usize, usize)>,
}

fn pick<T: Copy>(from: &[T], n: u16) -> Option<T> {
    let at = usize::from(n).checked_rem(from.len())?;
    from.get(at).copied()
}

impl Run {
    fn new(budget: u32, modelled: bool) -> Run {
        let mut w = World::new();
        w.caps.budget = budget;
        let slots = check::world(&w)
            .iter()
            .map(|slot| (slot.address(), slot.cap()))
            .collect();
        let model = modelled.then(|| Model {
            slots,
            entries: BTreeMap::new(),
            memory: w.caps.platform.virt(BASE).addr(),
        });
        Run {
            w,
            model,
            outcomes: BTreeMap::new(),
        }
    }

    /// Slots that hold one of `types` (any, for none).
    fn holding(&self, types: &[CapType]) -> Vec<SlotRef> {
        let wanted = |slot: &SlotRef| {
            !check::is_orphan(&slot.cap()) && (types.is_empty() || types.contains(&slot.cap().ty))
        };
        check::tree(&self.w.caps.mdb)
            .into_iter()
            .filter(wanted)
            .collect()
    }

    /// A slot to put something in: mostly an empty one, outside or inside a CNode or a Component.
    fn dest(&self, n: u16) -> Option<SlotRef> {
        let mut all: Vec<SlotRef> = (FREE..FREE + 24).map(|n| self.w.boot(n)).collect();
        for holder in self.holding(&[CapType::L2CNode, CapType::Component]) {
            if !holder.is_deleting() {
                all.extend(self.w.inner(&holder.cap()).into_iter().take(12));
            }
        }
        if !n.is_multiple_of(8) {
            all.retain(|slot| slot.is_empty());
        }
        pick(&all, n / 8)
    }

    fn compare(&mut self, name: &'static str, result: Result<(), Error>, model: Option<()>) {
        let count = self.outcomes.entry(name).or_default();
        *(if result.is_ok() {
            &mut count.0
        } else {
            &mut count.1
        }) += 1;
        if let Some(expected) = &self.model {
            assert_eq!(result.is_ok(), model.is_some(), "{name}: {result:?}");
            self.w.settle();
            let slots: BTreeMap<usize, Cap> = check::world(&self.w)
                .iter()
                .filter(|slot| !check::is_orphan(&slot.cap()))
                .map(|slot| (slot.address(), slot.cap()))
                .collect();
            assert_eq!(slots, expected.slots, "after {name}");
            for ((table, index), raw) in &expected.entries {
                let entry = self.w.caps.table(*table).read(*index).unwrap();
                assert_eq!(entry.0, *raw, "after {name}");
            }
        } else {
            check::world(&self.w);
        }
    }

    fn step(&mut self, (kind, a, b, c, d): Step) -> Option<()> {
        const TABLES: [CapType; 4] = [CapType::Pt, CapType::Pd, CapType::Pdpt, CapType::Pml4];
        const SOURCES: [CapType; 5] = [
            CapType::Frame,
            CapType::DevFrame,
            CapType::Pt,
            CapType::Pd,
            CapType::Pdpt,
        ];
        const MADE: [CapType; 16] = [
            CapType::Ram,
            CapType::Frame,
            CapType::Frame,
            CapType::Frame,
            CapType::DevFrame,
            CapType::L1CNode,
            CapType::L2CNode,
            CapType::Pml4,
            CapType::Pdpt,
            CapType::Pd,
            CapType::Pt,
            CapType::Pt,
            CapType::Component,
            CapType::Thread,
            CapType::IoPorts,
            CapType::Entry,
        ];
        // Seven choices in eight are among capabilities of types that fit.
        let among = |run: &Run, types: &[CapType], n: u16| {
            let types = if n % 8 == 7 { &[] } else { types };
            pick(&run.holding(types), n / 8)
        };
        let flags = MapFlags::from_bits_truncate(match d % 8 {
            0..4 => 1,
            4 | 5 => 3,
            10 => 5,
            _ => (d >> 3) as u8,
        });
        match kind {
            0..=7 => {
                let fits = [
                    CapType::Ram,
                    CapType::Ram,
                    CapType::Frame,
                    CapType::DevFrame,
                ];
                let source = among(self, &fits, a)?;
                let ty = pick(&MADE, b)?;
                let ty = if kind == 0 { source.cap().ty } else { ty };
                let (unit, room) = match ty {
                    CapType::IoPorts => (1, 64),
                    _ => (PAGE, PAGES),
                };
                let pages = u64::from(d % 6 + 1);
                let bytes = match info(ty).size {
                    crate::captype::Size::Fixed(_) => 0,
                    _ => pages * unit,
                };
                let offset = u64::from(c) % room * unit;
                let mut dest: Vec<SlotRef> = self.dest(d).into_iter().collect();
                let mut run = Ok(SlotRun::one(*dest.first()?));
                if kind == 7
                    && let Ok(space) = self.w.caps.cspace(self.w.boot(L1))
                {
                    let at = CPtr::new(0, (d >> 4) as u8);
                    run = self.w.caps.slots(space, at, u32::from(d % 3 + 1));
                    dest.clear();
                    let mut rest = run.ok();
                    while let Some(some) = rest {
                        dest.push(some.first());
                        rest = some.rest();
                    }
                }
                let mut result = Err(Error::SlotInUse);
                if let Ok(run) = run {
                    let again =
                        |caps: &mut Caps<Machine>| caps.retype(source, run, ty, offset, bytes);
                    result = match self.model {
                        Some(_) => self.w.until_done(again).0,
                        None => again(&mut self.w.caps),
                    };
                }
                let dest: Vec<usize> = dest.iter().map(|slot| slot.address()).collect();
                let model = self.model.as_mut().and_then(|model| {
                    run.ok()?;
                    model.retype(source.address(), &dest, ty, offset, bytes)
                });
                self.compare("retype", result, model);
            }
            8 | 9 => {
                let (source, dest) = (among(self, &[], a)?, self.dest(b)?);
                let mask = Rights::from_bits_truncate(if c % 4 == 0 { d as u8 } else { 0xff });
                let foreign = c % 8 == 1;
                let result = self.w.caps.copy(dest, source, mask, foreign);
                let model = self
                    .model
                    .as_mut()
                    .and_then(|model| model.copy(dest.address(), source.address(), mask, foreign));
                self.compare("copy", result, model);
            }
            10 => {
                let (source, dest) = (among(self, &[], a)?, self.dest(b)?);
                let result = self.w.caps.move_to(dest, source);
                let model = self
                    .model
                    .as_mut()
                    .and_then(|model| model.move_to(dest.address(), source.address()));
                self.compare("move", result, model);
            }
            11 => {
                let slot = among(self, &[], a)?;
                // The first capabilities seldom, or there is soon nothing left.
                if (0..FREE).any(|n| self.w.boot(n) == slot) && b % 16 > 0 {
                    return None;
                }
                let result = match self.model {
                    Some(_) => self.w.delete(slot),
                    None => self.w.caps.delete(slot),
                };
                let model = self
                    .model
                    .as_mut()
                    .and_then(|model| model.delete(slot.address()));
                self.compare("delete", result, model);
            }
            12 => {
                let slot = among(self, &[], a)?;
                // The first capabilities seldom, or there is soon nothing left.
                if (0..FREE).any(|n| self.w.boot(n) == slot) && b % 16 > 0 {
                    return None;
                }
                let result = match self.model {
                    Some(_) => self.w.revoke(slot),
                    None => self.w.caps.revoke(slot),
                };
                let model = self
                    .model
                    .as_mut()
                    .and_then(|model| model.revoke(slot.address()));
                self.compare("revoke", result, model);
            }
            13..=20 => {
                let source = among(self, &SOURCES, b)?;
                let fits: &[CapType] = match source.cap().ty {
                    CapType::Frame => &[CapType::Pt],
                    CapType::DevFrame => &[CapType::Pt, CapType::Pd, CapType::Pdpt],
                    CapType::Pt => &[CapType::Pt, CapType::Pd],
                    CapType::Pd => &[CapType::Pt, CapType::Pdpt],
                    CapType::Pdpt => &[CapType::Pt, CapType::Pml4],
                    _ => &TABLES,
                };
                let table = among(self, fits, a)?;
                let dest = self.dest(c)?;
                let frame = info(source.cap().ty).is_frame();
                let large = frame && table.cap().ty != CapType::Pt;
                let flags = if large && d % 8 < 6 {
                    flags | MapFlags::LARGE
                } else {
                    flags
                };
                let count = if frame {
                    d / 8 % 3 + 1
                } else {
                    d / 8 % 8 / 7 + 1
                };
                let unit = match table.cap().ty {
                    CapType::Pd => 2 << 20,
                    CapType::Pdpt => 1 << 30,
                    _ => PAGE,
                };
                let offset = if frame {
                    u64::from(d / 64 % 3) * unit
                } else {
                    0
                };
                let first = c % 12 + if c % 16 == 0 { 250 } else { 0 };
                let result = self
                    .w
                    .caps
                    .map(table, source, first, count, flags, offset, dest);
                let model = self.model.as_mut().and_then(|model| {
                    let (table, source) = (table.address(), source.address());
                    model.map(table, source, first, count, flags, offset, dest.address())
                });
                self.compare("map", result, model);
            }
            21 => {
                let mapping = among(self, &crate::captype::MAPPINGS, a)?;
                let of = place(&mapping.cap()).map(|place| place.table);
                let tables = self.holding(&TABLES);
                let own = tables.iter().find(|slot| Some(slot.base()) == of).copied();
                let table = own.filter(|_| c % 4 > 0).or(among(self, &TABLES, b))?;
                let result = self.w.caps.unmap(table, mapping);
                let model = self
                    .model
                    .as_mut()
                    .and_then(|model| model.unmap(table.address(), mapping.address()));
                self.compare("unmap", result, model);
            }
            22..=24 => {
                let mapping = pick(&self.holding(&crate::captype::MAPPINGS), b);
                let at = mapping.and_then(|mapping| place(&mapping.cap()));
                let tables = self.holding(&TABLES);
                let own = tables
                    .iter()
                    .find(|slot| at.is_some_and(|at| at.table == slot.base()));
                let (table, first) = match own {
                    Some(own) if c % 4 > 0 => (*own, at?.run.first() + c / 4 % 2),
                    _ => (among(self, &TABLES, a)?, c % 12),
                };
                let count = d / 8 % 4;
                let result = self.w.caps.modify(table, first, count, flags);
                let model = self
                    .model
                    .as_mut()
                    .and_then(|model| model.modify(table.address(), first, count, flags));
                self.compare("modify", result, model);
            }
            25..=27 => {
                let mapping = among(self, &crate::captype::MAPPINGS, a)?;
                let (first, count) = (b % 3, c % 4);
                let result = self.w.caps.mapping_modify(mapping, first, count, flags);
                let model = self
                    .model
                    .as_mut()
                    .and_then(|model| model.mapping_modify(mapping.address(), first, count, flags));
                self.compare("mapping modify", result, model);
            }
            28 => {
                let parent = among(self, &[CapType::Component], a)?;
                let (dest, words) = (self.dest(b)?, [u64::from(c % 2), u64::from(d % 2)]);
                let [address, badge] = words;
                let result = self.w.caps.make_entry(dest, parent, address, badge);
                let model = self.model.as_mut().and_then(|model| {
                    model.derive(dest.address(), parent.address(), CapType::Entry, words)
                });
                self.compare("make entry", result, model);
            }
            29 => {
                let parent = among(self, &[CapType::Kernel], a)?;
                let (dest, words) = (self.dest(b)?, [u64::from(c), 0]);
                let result = self.w.caps.make_irq(dest, parent, words);
                let model = self.model.as_mut().and_then(|model| {
                    model.derive(dest.address(), parent.address(), CapType::Irq, words)
                });
                self.compare("make irq", result, model);
            }
            _ => {
                let l1 = among(self, &[CapType::L1CNode], a)?;
                let l2 = among(self, &[CapType::L2CNode], b)?;
                let index = u32::from(c % 80);
                let result = self.w.caps.install_l2(l1, index, l2);
                let types = (l1.cap().ty, l2.cap().ty) == (CapType::L1CNode, CapType::L2CNode);
                let inner = self.w.inner(&l1.cap()).get(index as usize).copied();
                let model = self.model.as_mut().and_then(|model| {
                    let writable = l1.rights().contains(Rights::WRITE);
                    let at = inner.filter(|_| types && writable)?.address();
                    model.copy(at, l2.address(), Rights::all(), false)
                });
                self.compare("install", result, model);
            }
        }
        Some(())
    }
}

fn steps(len: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0u8..31,
        any::<u16>(),
        any::<u16>(),
        any::<u16>(),
        any::<u16>(),
    );
    prop::collection::vec(step, 1..len)
}

const CASES: u32 = if cfg!(miri) { 2 } else { 120 };
const LENGTH: usize = if cfg!(miri) { 12 } else { 120 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn agrees_with_the_model(steps in steps(LENGTH), budget in 40u32..200) {
        let mut run = Run::new(budget, true);
        for step in steps {
            let _ = run.step(step);
        }
    }

    #[test]
    fn holds_together_with_deletions_half_done(steps in steps(LENGTH), budget in 33u32..80) {
        let mut run = Run::new(budget, false);
        for step in steps {
            let _ = run.step(step);
        }
        run.w.settle();
        check::world(&run.w);
    }
}

/// Random steps are worth something only if each operation succeeds and fails often.
#[test]
#[cfg_attr(miri, ignore)]
fn random_steps_reach_both_outcomes_of_every_operation() {
    let mut run = Run::new(4096, true);
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as u16
    };
    let mut total: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    for round in 0..3000 {
        let kind = (next() % 31) as u8;
        let _ = run.step((kind, next(), next(), next(), next()));
        if round % 100 == 99 {
            for (name, (good, bad)) in &run.outcomes {
                let sum = total.entry(name).or_default();
                *sum = (sum.0 + good, sum.1 + bad);
            }
            run = Run::new(4096, true);
        }
    }
    for (name, (good, bad)) in &total {
        assert!(
            *good > 0 && (*bad > 0 || *name == "delete"),
            "{name}: {good} {bad}"
        );
    }
    assert_eq!(total.len(), 12, "{total:?}");
    std::println!("succeeded and failed: {total:?}");
}
