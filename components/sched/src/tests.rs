//! Single rules, and random histories beside a model that is too simple to be wrong.

extern crate std;

use std::collections::BTreeMap;
use std::vec::Vec;

use abi::{ComponentId, Error, ThreadId};
use proptest::prelude::*;

use crate::{Scheduler, Wait};

const SLICE: u64 = 10;
const NEVER: u64 = u64::MAX;
const C: ComponentId = ComponentId(3);

fn t(n: u16) -> ThreadId {
    ThreadId(n)
}

/// Threads 0 and up with these priorities, all started; thread 0 runs at time 0.
fn with(priorities: &[u32]) -> Scheduler {
    let mut s = Scheduler::new(SLICE);
    for (n, priority) in priorities.iter().enumerate() {
        s.define(t(n as u16), *priority).unwrap();
        s.start(t(n as u16)).unwrap();
    }
    s.running(t(0), 0);
    s
}

#[test]
fn the_highest_priority_runs() {
    let mut s = with(&[1, 5, 3]);
    assert_eq!(s.pick(0), Some(t(1)));
    assert_eq!(s.block(C, Wait::Wake, NEVER, 0), None);
    assert_eq!(s.pick(0), Some(t(2)));
    s.wake(t(1)).unwrap();
    assert_eq!(s.pick(0), Some(t(1)));
    assert!(s.woken(t(1)));
}

#[test]
fn a_priority_is_known_of_whoever_can_run_again() {
    let mut s = with(&[4, 9]);
    assert_eq!(s.priority(t(0)), Ok(4));
    assert_eq!(s.pick(0), Some(t(1)));
    assert_eq!(s.block(C, Wait::Owner(t(0)), NEVER, 0), None);
    // Lent, and while it is blocked its own.
    assert_eq!((s.priority(t(0)), s.priority(t(1))), (Ok(9), Ok(9)));
    s.exit(t(1));
    for gone in [1, 2, 64, u16::MAX] {
        assert_eq!(s.priority(t(gone)), Err(Error::NotFound));
    }
}

#[test]
fn each_thread_is_charged_the_time_that_it_ran() {
    let mut s = with(&[1, 5]);
    assert_eq!(s.pick(3), Some(t(1)));
    assert_eq!(s.ran(t(1), 5), Ok(2));
    assert_eq!(s.block(C, Wait::Wake, 20, 9), None);
    assert_eq!(s.pick(10), Some(t(0)));
    assert_eq!((s.ran(t(0), 14), s.ran(t(1), 14)), (Ok(3 + 4), Ok(7)));
    // Nobody runs: nobody is charged.
    assert_eq!(s.block(C, Wait::Wake, NEVER, 15), None);
    assert_eq!(s.pick(15), None);
    assert_eq!(s.pick(20), Some(t(1)));
    assert_eq!((s.ran(t(0), 21), s.ran(t(1), 21)), (Ok(8), Ok(8)));
    s.exit(t(1));
    for gone in [1, 2, 64, u16::MAX] {
        assert_eq!(s.ran(t(gone), 30), Err(Error::NotFound));
    }
}

#[test]
fn equals_take_turns_by_slices() {
    let mut s = with(&[4, 4, 4, 1]);
    let mut seen = Vec::new();
    for n in 0..6 {
        seen.push(s.pick(n * SLICE).unwrap().0);
        assert_eq!(s.timer(n * SLICE), (n + 1) * SLICE);
    }
    assert_eq!(seen, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_preempted_thread_keeps_its_turn_and_the_rest_of_its_slice() {
    let mut s = with(&[4, 4, 9]);
    assert_eq!(s.pick(0), Some(t(2)));
    assert_eq!(s.block(C, Wait::Wake, 6, 0), None);
    assert_eq!(s.pick(0), Some(t(0)));
    assert_eq!(s.timer(0), 6);
    assert_eq!(s.pick(6), Some(t(2)));
    assert!(!s.woken(t(2)));
    assert_eq!(s.block(C, Wait::Wake, NEVER, 7), None);
    assert_eq!(s.pick(7), Some(t(0)));
    assert_eq!(s.timer(7), 11);
    assert_eq!(s.pick(11), Some(t(1)));
}

#[test]
fn a_wake_up_before_the_block_is_kept() {
    let mut s = with(&[1]);
    s.wake(t(0)).unwrap();
    s.wake(t(0)).unwrap();
    assert_eq!(s.block(C, Wait::Wake, NEVER, 0), Some(true));
    assert_eq!(s.block(C, Wait::Wake, 0, 0), Some(false));
    assert_eq!(s.block(C, Wait::Wake, NEVER, 0), None);
    assert_eq!(s.pick(0), None);
}

#[test]
fn nobody_runs_and_no_timer_is_set_when_all_wait_for_a_wake_up() {
    let mut s = with(&[1, 1]);
    for _ in 0..2 {
        s.pick(0).unwrap();
        assert_eq!(s.block(C, Wait::Wake, NEVER, 0), None);
    }
    assert_eq!(s.pick(0), None);
    assert_eq!(s.timer(0), NEVER);
}

#[test]
fn a_low_sleeper_sets_no_timer_for_a_high_thread() {
    let mut s = with(&[9, 9, 1]);
    assert_eq!(s.block(C, Wait::Wake, 50, 0), None);
    s.pick(0);
    assert_eq!(s.block(C, Wait::Wake, 40, 0), None);
    s.pick(0);
    assert_eq!(s.block(C, Wait::Wake, 20, 0), None);
    assert_eq!(s.pick(0), None);
    assert_eq!(s.timer(0), 20);
    s.wake(t(0)).unwrap();
    assert_eq!(s.pick(1), Some(t(0)));
    assert_eq!(s.timer(1), 40);
}

#[test]
fn a_lock_owner_inherits_through_a_chain() {
    let mut s = with(&[9, 5, 1, 7]);
    // 1 waits for 2, then 0 waits for 1: 2 must run before 3.
    s.running(t(1), 0);
    assert_eq!(s.block(C, Wait::Owner(t(2)), NEVER, 0), None);
    s.running(t(0), 0);
    assert_eq!(s.block(C, Wait::Owner(t(1)), NEVER, 0), None);
    assert_eq!(s.pick(0), Some(t(2)));
    s.wake(t(1)).unwrap();
    assert_eq!(s.pick(0), Some(t(1)));
    s.wake(t(0)).unwrap();
    assert_eq!(s.pick(0), Some(t(0)));
    s.exit(t(0));
    assert_eq!(s.pick(0), Some(t(3)));
}

#[test]
fn a_ring_of_lock_owners_ends() {
    let mut s = with(&[9, 5, 1]);
    for (waiter, owner) in [(0, 1), (1, 2), (2, 0)] {
        s.running(t(waiter), 0);
        assert_eq!(s.block(C, Wait::Owner(t(owner)), 5, 0), None);
    }
    assert_eq!(s.pick(0), None);
    assert_eq!(s.pick(5), Some(t(0)));
}

#[test]
fn interrupts_are_counted_for_their_component_alone() {
    let mut s = with(&[1]);
    assert_eq!(s.take_interrupts(C), Err(Error::Refused));
    s.bind(C).unwrap();
    s.interrupt(C);
    s.interrupt(C);
    assert_eq!(s.take_interrupts(C), Ok(2));
    assert_eq!(s.take_interrupts(C), Ok(0));
    assert_eq!(s.block(C, Wait::Interrupt, NEVER, 0), None);
    s.interrupt(ComponentId(4));
    assert_eq!(s.pick(0), None);
    s.interrupt(C);
    assert_eq!(s.pick(0), Some(t(0)));
    assert_eq!(s.take_interrupts(C), Ok(1));
    s.interrupt(ComponentId(u16::MAX));
    assert_eq!(s.bind(ComponentId(64)), Err(Error::BadArgument));
}

#[test]
fn a_death_frees_whom_the_dead_blocked() {
    let mut s = with(&[2, 1]);
    assert_eq!(s.block(C, Wait::Wake, NEVER, 0), None);
    assert_eq!(s.pick(0), Some(t(1)));
    s.component_died(ComponentId(9));
    assert_eq!(s.pick(0), Some(t(1)));
    s.component_died(C);
    assert_eq!(s.pick(0), Some(t(0)));
    assert!(!s.woken(t(0)));
}

#[test]
fn numbers_from_outside_are_checked() {
    let mut s = with(&[1]);
    for bad in [1, 63, 64, u16::MAX] {
        assert_eq!(s.wake(t(bad)), Err(Error::NotFound));
        assert_eq!(s.start(t(bad)), Err(Error::NotFound));
        assert_eq!(s.set_priority(t(bad), 1), Err(Error::NotFound));
        s.exit(t(bad));
    }
    assert_eq!(s.define(t(64), 1), Err(Error::BadArgument));
    assert_eq!(s.define(t(0), 1), Err(Error::BadState));
    assert_eq!(s.start(t(0)), Err(Error::BadState));
    assert_eq!(s.block(C, Wait::Owner(t(999)), 5, 0), None);
    assert_eq!(s.pick(5), Some(t(0)));
    s.exit(t(0));
    assert_eq!(s.wake(t(0)), Err(Error::NotFound));
    assert_eq!(s.pick(6), None);
}

#[test]
fn a_thread_that_exited_can_begin_anew() {
    let mut s = with(&[2, 1]);
    s.wake(t(1)).unwrap();
    s.exit(t(1));
    assert_eq!(s.start(t(1)), Ok(()));
    assert_eq!(s.start(t(1)), Err(Error::BadState));
    assert_eq!(s.block(C, Wait::Wake, NEVER, 0), None);
    assert_eq!(s.pick(0), Some(t(1)));
    // The old one's token is gone.
    assert_eq!(s.block(C, Wait::Wake, NEVER, 0), None);
    assert_eq!(s.pick(0), None);
}

/// One thread of the model.
#[derive(Clone, Debug)]
struct Naive {
    base: u32,
    token: bool,
    left: u64,
    blocked: Option<(u64, Option<u16>)>,
}

/// Threads, and the order in which the runnable ones became runnable.
#[derive(Clone, Debug, Default)]
struct Model {
    threads: BTreeMap<u16, Naive>,
    order: Vec<u16>,
    current: Option<u16>,
}

impl Model {
    fn effective(&self, thread: u16) -> u32 {
        let waiters = self
            .threads
            .iter()
            .filter(|(_, n)| n.blocked.is_some_and(|(_, on)| on == Some(thread)))
            .map(|(id, _)| self.effective(*id));
        waiters.max().unwrap_or(0).max(self.threads[&thread].base)
    }

    fn reaches(&self, from: u16, to: u16) -> bool {
        from == to
            || self.threads[&from]
                .blocked
                .and_then(|(_, on)| on)
                .is_some_and(|on| self.reaches(on, to))
    }

    fn ready(&mut self, thread: u16) {
        let naive = self.threads.get_mut(&thread).unwrap();
        naive.blocked = None;
        naive.left = SLICE;
        self.order.retain(|o| *o != thread);
        self.order.push(thread);
    }

    fn pass(&mut self, ticks: u64) {
        let Some(current) = self.current else { return };
        let naive = self.threads.get_mut(&current).unwrap();
        naive.left = naive.left.saturating_sub(ticks);
    }

    fn pick(&mut self, now: u64) {
        let mut due: Vec<_> = self
            .threads
            .iter()
            .filter_map(|(id, n)| Some((n.blocked?.0, *id)))
            .filter(|(deadline, _)| *deadline <= now)
            .collect();
        due.sort();
        for (_, thread) in due {
            self.ready(thread);
        }
        if let Some(current) = self.current
            && self.order.contains(&current)
            && self.threads[&current].left == 0
        {
            self.ready(current);
        }
        let mut best: Option<u16> = None;
        for thread in &self.order {
            if best.is_none_or(|b| self.effective(*thread) > self.effective(b)) {
                best = Some(*thread);
            }
        }
        self.current = best;
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Yield,
    Block(u64),
    BlockOn(u16, u64),
    Wake(u16),
    Priority(u16, u32),
    Exit,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2 * SLICE).prop_map(Step::Pass),
        Just(Step::Yield),
        (0..60u64).prop_map(Step::Block),
        (0..8u16, 0..60u64).prop_map(|(o, d)| Step::BlockOn(o, d)),
        (0..8u16).prop_map(Step::Wake),
        (0..8u16).prop_map(Step::Wake),
        (0..8u16, 0..5u32).prop_map(|(t, p)| Step::Priority(t, p)),
        Just(Step::Exit),
    ]
}

proptest! {
    #[test]
    fn behaves_like_the_model(
        priorities in proptest::collection::vec(0..5u32, 8),
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut s = with(&priorities);
        let mut m = Model::default();
        for (n, base) in priorities.iter().enumerate() {
            let naive = Naive { base: *base, token: false, left: SLICE, blocked: None };
            m.threads.insert(n as u16, naive);
            m.order.push(n as u16);
        }
        m.current = Some(0);
        let mut now = 0;
        let mut exits = 0;
        for step in steps {
            let current = m.current;
            match (step, current) {
                (Step::Pass(ticks), _) => {
                    now += ticks;
                    m.pass(ticks);
                }
                (Step::Yield, Some(current)) => {
                    s.yield_now();
                    m.ready(current);
                }
                (Step::Block(sleep), Some(current)) => {
                    let deadline = if sleep > 50 { NEVER } else { now + sleep };
                    let naive = m.threads.get_mut(&current).unwrap();
                    let expected = if core::mem::take(&mut naive.token) {
                        Some(true)
                    } else if deadline <= now {
                        Some(false)
                    } else {
                        naive.blocked = Some((deadline, None));
                        m.order.retain(|o| *o != current);
                        None
                    };
                    prop_assert_eq!(s.block(C, Wait::Wake, deadline, now), expected);
                }
                (Step::BlockOn(owner, sleep), Some(current))
                    if m.threads.contains_key(&owner) && !m.reaches(owner, current) =>
                {
                    let deadline = now + sleep;
                    let naive = m.threads.get_mut(&current).unwrap();
                    let expected = if core::mem::take(&mut naive.token) {
                        Some(true)
                    } else if deadline <= now {
                        Some(false)
                    } else {
                        naive.blocked = Some((deadline, Some(owner)));
                        m.order.retain(|o| *o != current);
                        None
                    };
                    prop_assert_eq!(s.block(C, Wait::Owner(t(owner)), deadline, now), expected);
                }
                (Step::Wake(thread), _) => match m.threads.get_mut(&thread) {
                    None => prop_assert!(s.wake(t(thread)).is_err()),
                    Some(naive) => {
                        prop_assert!(s.wake(t(thread)).is_ok());
                        if naive.blocked.is_some() {
                            m.ready(thread);
                            prop_assert!(s.woken(t(thread)));
                        } else {
                            naive.token = true;
                        }
                    }
                },
                (Step::Priority(thread, priority), _) => {
                    if let Some(naive) = m.threads.get_mut(&thread) {
                        naive.base = priority;
                        s.set_priority(t(thread), priority).unwrap();
                    }
                }
                (Step::Exit, Some(current)) if exits < 3 => {
                    // One that others wait for stays: its waiters would have to be told.
                    let waited = m.threads.values().any(|n| {
                        n.blocked.is_some_and(|(_, on)| on == Some(current))
                    });
                    if !waited {
                        exits += 1;
                        s.exit(t(current));
                        m.threads.remove(&current);
                        m.order.retain(|o| *o != current);
                        m.current = None;
                    }
                }
                _ => {}
            }
            m.pick(now);
            prop_assert_eq!(s.pick(now).map(|t| t.0), m.current);
        }
    }

    #[test]
    fn nobody_starves_inside_a_priority(
        count in 2..8u16,
        ticks in proptest::collection::vec(1..2 * SLICE, 100..200),
    ) {
        let priorities: Vec<u32> = (0..count).map(|_| 4).collect();
        let mut s = with(&priorities);
        let (mut now, mut last) = (0, BTreeMap::new());
        for ticks in ticks {
            let current = s.pick(now).unwrap();
            last.insert(current, now);
            let end = s.timer(now);
            now = end.min(now + ticks);
            for thread in 0..count {
                let since = now - last.get(&t(thread)).copied().unwrap_or(0);
                prop_assert!(since <= u64::from(count) * SLICE, "{thread} waits {since}");
            }
        }
    }
}
