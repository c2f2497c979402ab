//! The short way to find garbage, with all that three components do to a buffer placed between its
//! reads in every order.

#![cfg(not(loom))]

use cbuf_mgr::liveness::{Counts, Look, is_garbage};
use libcbuf::meta::Record;
use libcbuf::primitive::Ordering;
use std::cell::Cell;

/// What a component does to a buffer, one shared access at a time.
#[derive(Clone, Copy)]
enum Do {
    Send(usize),
    Reference(usize),
    Receipt(usize),
    Free(usize),
}
use Do::*;

/// Components' records, and a script that runs while a collector reads them: event `n` happens
/// just before visit `when[n]`.
struct World {
    records: [Record; 3],
    script: &'static [Do],
    when: Vec<usize>,
    done: Cell<usize>,
    visits: Cell<usize>,
}

impl World {
    /// Component 1 holds the buffer.
    fn new(script: &'static [Do], when: &[usize]) -> Self {
        let records: [Record; 3] = Default::default();
        records[1].state.store(1, Ordering::SeqCst);
        Self {
            records,
            script,
            when: when.to_vec(),
            done: Cell::new(0),
            visits: Cell::new(0),
        }
    }

    /// What the script does before the collector's next read, of component `n`'s record.
    fn visit(&self, n: usize) -> &Record {
        while self
            .when
            .get(self.done.get())
            .is_some_and(|w| *w <= self.visits.get())
        {
            match self.script[self.done.get()] {
                Send(c) => self.records[c].sent.fetch_add(1, Ordering::SeqCst),
                Receipt(c) => self.records[c].received.fetch_add(1, Ordering::SeqCst),
                Reference(c) => self.records[c].state.fetch_add(1, Ordering::SeqCst) as u32,
                Free(c) => self.records[c].state.fetch_sub(1, Ordering::SeqCst) as u32,
            };
            self.done.set(self.done.get() + 1);
        }
        self.visits.set(self.visits.get() + 1);
        &self.records[n]
    }

    fn is_garbage(&self, settled: Counts) -> bool {
        let others = (1..3).map(|n| Read(self, n));
        is_garbage(Read(self, 0), others, settled).is_some()
    }

    /// Referenced, or on its way, as things stand.
    fn live(&self) -> bool {
        let mut counts = Counts::default();
        self.records.iter().for_each(|r| counts.add(&r));
        counts.sent != counts.received || self.records.iter().any(|r| r.load().references() > 0)
    }
}

/// A record of which each word is a visit of its own.
#[derive(Clone)]
struct Read<'w>(&'w World, usize);

impl Look for Read<'_> {
    fn sent(&self) -> u32 {
        self.0.visit(self.1).sent.load(Ordering::SeqCst)
    }
    fn received(&self) -> u32 {
        self.0.visit(self.1).received.load(Ordering::SeqCst)
    }
    // The scripts say nothing of receivers.
    fn sent_to(&self) -> u64 {
        0
    }
    fn is_referenced(&self) -> bool {
        self.0.visit(self.1).load().references() != 0
    }
}

/// Every way to place the script's events among a collector's visits.
fn schedules(script: &'static [Do], visits: usize, mut each: impl FnMut(World)) {
    let mut when = vec![0; script.len()];
    loop {
        each(World::new(script, &when));
        let Some(at) = (0..when.len()).rev().find(|n| when[*n] < visits) else {
            return;
        };
        let next = when[at] + 1;
        when[at..].fill(next);
    }
}

/// X (1) sends to P (0), who passes it on to Q (2) and keeps it; X and Q free it.
const CHAIN: &[Do] = &[
    Send(1),
    Free(1),
    Reference(0),
    Receipt(0),
    Send(0),
    Reference(2),
    Receipt(2),
    Free(2),
];
/// X sends to Q, Q sends it back and frees it, X frees one of its two.
const CYCLE: &[Do] = &[
    Send(1),
    Free(1),
    Reference(2),
    Receipt(2),
    Send(2),
    Free(2),
    Reference(1),
    Receipt(1),
];
/// To both, both free; then nobody has it.
const SPREAD: &[Do] = &[
    Send(1),
    Send(1),
    Free(1),
    Reference(0),
    Receipt(0),
    Free(0),
    Reference(2),
    Receipt(2),
    Free(2),
];

#[test]
fn no_buffer_in_use_is_garbage() {
    let mut garbage = 0;
    for script in [CHAIN, CYCLE, SPREAD] {
        schedules(script, 18, |world| {
            if world.is_garbage(Counts::default()) {
                assert!(!world.live());
                garbage += 1;
            }
        });
    }
    assert!(garbage > 0);
}

#[test]
fn what_is_at_rest_is_told_apart() {
    let world = World::new(SPREAD, &[0; SPREAD.len()]);
    let look = |settled| world.is_garbage(settled);
    assert!(look(Counts::default()));
    let on_its_way = Counts {
        sent: 1,
        ..Counts::default()
    };
    assert!(!look(on_its_way));
    world.records[2].state.store(1, Ordering::SeqCst);
    assert!(!look(Counts::default()));
}
