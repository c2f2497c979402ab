//! The client's calls beside allocators that people know, in one process, in ticks of the
//! time-stamp counter. Prints a line of JSON for each figure: the median of the rounds, in each of
//! which all take their turn and the least of a few tries counts. Arguments: the number of rounds. `cargo xtask bench cbuf` runs it
//! and judges. Source: CBUFs, figure 5 and table 2.

mod allocators;
mod pool;

use allocators::{Allocator, Pages};
use core::arch::x86_64::{_mm_lfence, _rdtsc};
use libcbuf::meta::CbufId;
use libcbuf::{Client, ComponentId};
use std::collections::BTreeMap;
use std::hint::black_box;

const PAGE: usize = 4096;
const SIZES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Operations of a round: few, so that most rounds are not interrupted.
const OPERATIONS: usize = 1000;
/// Tries in a round, of which the least counts, for all alike.
const TRIES: usize = 5;
/// System calls take longer.
const MAPPINGS: usize = 40;
/// Held at once where many are.
const MANY: usize = 64;
/// Allocations between two looks at the clock.
const GROUP: usize = 4;
const US: &str = "CBUF";

/// What can be measured: takes memory and gives it back.
trait Source: Copy {
    type Held: Copy;
    fn alloc(self, bytes: usize) -> Self::Held;
    fn free(self, held: Self::Held, bytes: usize);
    fn start(held: Self::Held) -> *mut u8;
}

impl Source for &Client {
    type Held = (*mut u8, CbufId);
    #[inline(always)]
    fn alloc(self, bytes: usize) -> Self::Held {
        match self.cbuf_alloc(bytes) {
            Ok(held) => held,
            Err(error) => panic!("{error}"),
        }
    }
    #[inline(always)]
    fn free(self, held: Self::Held, _bytes: usize) {
        // SAFETY: what `alloc` answered, once.
        unsafe { self.cbuf_free(held.1) }
    }
    fn start(held: Self::Held) -> *mut u8 {
        held.0
    }
}

impl Source for Allocator {
    type Held = *mut u8;
    #[inline(always)]
    fn alloc(self, bytes: usize) -> *mut u8 {
        Allocator::alloc(self, bytes)
    }
    #[inline(always)]
    fn free(self, held: *mut u8, _bytes: usize) {
        // SAFETY: what `alloc` answered, once.
        unsafe { Allocator::free(self, held) }
    }
    fn start(held: *mut u8) -> *mut u8 {
        held
    }
}

impl Source for Pages {
    type Held = *mut u8;
    fn alloc(self, bytes: usize) -> *mut u8 {
        Pages::map(bytes)
    }
    fn free(self, held: *mut u8, bytes: usize) {
        // SAFETY: what `alloc` answered, once.
        unsafe { Pages::unmap(held, bytes) }
    }
    fn start(held: *mut u8) -> *mut u8 {
        held
    }
}

/// The counter, when everything before is done and nothing after has begun.
#[inline(always)]
fn now() -> u64 {
    // SAFETY: reads a counter.
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}

fn per(ticks: u64, operations: usize) -> f64 {
    ticks as f64 / operations as f64
}

/// One after the other.
#[inline(never)]
fn pairs<S: Source>(source: S, bytes: usize, operations: usize) -> f64 {
    let begun = now();
    for _ in 0..operations {
        let held = source.alloc(black_box(bytes));
        source.free(black_box(held), bytes);
    }
    per(now() - begun, operations)
}

/// The same, with a byte written to each page in between.
#[inline(never)]
fn touched<S: Source>(source: S, bytes: usize, operations: usize) -> f64 {
    let begun = now();
    for _ in 0..operations {
        let held = source.alloc(black_box(bytes));
        for page in (0..bytes).step_by(PAGE) {
            // SAFETY: inside what was allocated, and nobody else's.
            unsafe { S::start(held).add(page).write_volatile(1) };
        }
        source.free(black_box(held), bytes);
    }
    per(now() - begun, operations)
}

/// Many held at once, then all freed.
#[inline(never)]
fn many<S: Source>(source: S, bytes: usize, operations: usize) -> f64 {
    let rounds = (operations / MANY).max(1);
    let begun = now();
    for _ in 0..rounds {
        let held: [S::Held; MANY] = core::array::from_fn(|_| source.alloc(black_box(bytes)));
        for one in black_box(held) {
            source.free(one, bytes);
        }
    }
    per(now() - begun, rounds * MANY)
}

/// Allocation and free apart from each other.
#[inline(never)]
fn apart<S: Source>(source: S, bytes: usize, operations: usize) -> [f64; 2] {
    let (mut alloc, mut free, mut looks) = (0, 0, 0);
    let groups = (operations / GROUP).max(1);
    for _ in 0..groups {
        let times = [now(), now()];
        let held: [S::Held; GROUP] = core::array::from_fn(|_| source.alloc(black_box(bytes)));
        let held = black_box(held);
        let allocated = now();
        for one in held {
            source.free(one, bytes);
        }
        let freed = now();
        looks += times[1] - times[0];
        alloc += allocated - times[1];
        free += freed - allocated;
    }
    [alloc, free].map(|ticks| per(ticks.saturating_sub(looks), groups * GROUP))
}

/// Sends and receipts of one buffer.
fn messages(client: &Client, bytes: usize) -> [f64; 2] {
    let (sender, receiver) = (ComponentId(2), ComponentId(3));
    let (_, id) = client.alloc(bytes);
    // SAFETY: ours; the manager of this process collects nothing, so counters need not agree.
    unsafe { client.cbuf_send(id, receiver) };
    pool::admit(client, id, sender);
    let begun = now();
    for _ in 0..OPERATIONS {
        // SAFETY: as above.
        unsafe { client.cbuf_send(black_box(id), receiver) };
    }
    let sent = now();
    for _ in 0..OPERATIONS {
        let received = client.cbuf2buf(black_box(id), 0, bytes as u32, sender);
        assert!(black_box(received).is_ok());
    }
    let received = now();
    for _ in 0..OPERATIONS {
        // SAFETY: received just now.
        unsafe { client.cbuf_free(id) };
    }
    pool::settle(client, id);
    // SAFETY: the first reference.
    unsafe { client.cbuf_free(id) };
    [sent - begun, received - sent].map(|ticks| per(ticks, OPERATIONS))
}

/// The least of a few tries: what disturbs only adds.
fn best<const N: usize>(mut measure: impl FnMut() -> [f64; N]) -> [f64; N] {
    let mut least = measure();
    for _ in 1..TRIES {
        for (least, now) in least.iter_mut().zip(measure()) {
            *least = least.min(now);
        }
    }
    least
}

/// Cycles by what, who and pages; a value for each round.
type Figures = BTreeMap<(&'static str, &'static str, usize), Vec<f64>>;

fn all<S: Source>(figures: &mut Figures, who: &'static str, source: S, pages: usize, n: usize) {
    let bytes = pages * PAGE;
    let mut add = |what, cycles| figures.entry((what, who, pages)).or_default().push(cycles);
    add("pair", best(|| [pairs(source, bytes, n)])[0]);
    add("touched", best(|| [touched(source, bytes, n)])[0]);
    add("many", best(|| [many(source, bytes, n)])[0]);
    let [alloc, free] = best(|| apart(source, bytes, n));
    add("alloc", alloc);
    add("free", free);
}

fn main() {
    let rounds: usize = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(5);
    let client = pool::client();
    let allocators = allocators::load().unwrap_or_else(|why| {
        eprintln!("{why}");
        std::process::exit(1)
    });
    let mut figures = Figures::new();
    // The first rounds bring memory to where it is found later.
    for round in 0..rounds + 2 {
        if round == 2 {
            figures.clear();
        }
        for pages in SIZES {
            all(&mut figures, US, client, pages, OPERATIONS);
            for (who, allocator) in &allocators {
                all(&mut figures, who, *allocator, pages, OPERATIONS);
            }
            all(&mut figures, "mmap", Pages, pages, MAPPINGS);
            let [send, receive] = messages(client, pages * PAGE);
            figures.entry(("send", US, pages)).or_default().push(send);
            figures
                .entry(("receive", US, pages))
                .or_default()
                .push(receive);
        }
    }
    for ((what, who, pages), mut cycles) in figures {
        cycles.sort_by(f64::total_cmp);
        let cycles = cycles[cycles.len() / 2];
        println!(
            "{{\"what\":\"{what}\",\"who\":\"{who}\",\"pages\":{pages},\"cycles\":{cycles:.2}}}"
        );
    }
}
