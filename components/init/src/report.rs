//! What a person reads of a fault: which component did what, and the backtrace that came with it,
//! with names from the boot archive. The addresses are the component's claim; names, numbers and
//! the moment are init's, so the worst that a component can have printed is a wrong trace when it
//! dies.

use alloc::vec::Vec;
use core::fmt::Write;

use abi::op::lifecycle::fault;
use abi::{ComponentId, ThreadId};
use archive::Archive;
use archive::symbols::{ENTRY, Name, Program, Symbols};
use init::trace::{Step, Trace};
use manifest::Image;
use rt::cap;
use rt::console::Line;
use spin::Once;

static TRACES: [Trace; ThreadId::MAX] = [const { Trace::new() }; ThreadId::MAX];
static NAMES: Once<Vec<Names>> = Once::new();

/// What a component is called, and its functions.
struct Names {
    component: &'static str,
    functions: Option<Program<'static>>,
}

/// Learns the names. An archive without functions is no less a system: addresses stay numbers.
pub fn prepare(archive: &Archive<'static>, image: &'static Image) {
    let symbols = archive.blob(ENTRY).and_then(Symbols::open).ok();
    let names = image.components.iter().map(|component| Names {
        component: &component.name,
        functions: symbols.and_then(|s| s.program(&component.binary)),
    });
    NAMES.call_once(|| names.collect());
}

fn names(id: ComponentId) -> Option<&'static Names> {
    let place = usize::from(id.0).checked_sub(1)?;
    NAMES.get()?.get(place)
}

fn called(id: ComponentId) -> &'static str {
    match id {
        ComponentId::INIT => "init",
        id => names(id).map_or("?", |n| n.component),
    }
}

fn own_trace() -> Option<&'static Trace> {
    TRACES.get(usize::from(rt::thread_id().0))
}

/// A part of a trace: keeps it. Prints nothing, whatever it says.
pub fn note(from: ComponentId, part: [u64; 4]) -> rt::Reply {
    if let Some(trace) = own_trace() {
        trace.add(from, part);
    }
    Ok([0; 4])
}

/// Prints a fault that ends a component, and forgets its trace.
pub fn print(id: ComponentId, kind: u64, [address, instruction, stack]: [u64; 3]) {
    let what = fault::NAMES.get(kind as usize).unwrap_or(&"fault");
    rt::println!(
        "component {}, thread {}: {what}, address {address:#x}, instruction {instruction:#x}, stack {stack:#x}; it is killed",
        called(id),
        rt::thread_id().0,
    );
    let functions = names(id).and_then(|n| n.functions);
    let mut frames = Frames::new(functions, kind, instruction);
    for step in own_trace().into_iter().flat_map(|trace| trace.take(id)) {
        frames.step(step);
    }
    let mut line = Line::new();
    let mut by = "  invoked by";
    for invoker in cap::own::invokers().into_iter().flatten() {
        // A line never refuses text.
        let _ = write!(line, "{by} {}", called(invoker));
        by = ", by";
    }
    if by != "  invoked by" {
        let _ = line.write_str("\n");
    }
}

/// The lines of a backtrace.
struct Frames {
    functions: Option<Program<'static>>,
    /// Lines so far.
    lines: u32,
    /// Place of the step before.
    place: u32,
    /// Nothing has been seen yet but what a panic runs through.
    panicking: bool,
}

impl Frames {
    /// Begins with the instruction that faulted.
    fn new(functions: Option<Program<'static>>, kind: u64, instruction: u64) -> Self {
        let mut frames = Self {
            functions,
            lines: 0,
            place: 0,
            panicking: false,
        };
        let at = functions.and_then(|f| f.at(instruction));
        frames.panicking = kind == fault::ILLEGAL && at.is_some_and(|(name, _)| stops(name));
        frames.line(instruction, at);
        frames
    }

    fn step(&mut self, Step { place, address }: Step) {
        let left_out = place.saturating_sub(self.place).saturating_sub(1);
        if left_out > 0 {
            rt::println!("  ... {left_out} left out");
        }
        self.place = place;
        // The call comes before the address that it returns to, where another function can begin.
        let address = u64::from(address);
        let call = self.functions.and_then(|f| f.at(address.wrapping_sub(1)));
        let at = call.map(|(name, offset)| (name, offset + 1));
        self.line(address, at);
    }

    fn line(&mut self, address: u64, at: Option<(Name<'_>, u64)>) {
        self.panicking &= at.is_some_and(|(name, _)| machinery(name));
        if self.panicking {
            return;
        }
        let n = self.lines;
        self.lines += 1;
        match at {
            Some((name, offset)) => rt::println!("  {n}: {name}+{offset:#x} ({address:#x})"),
            None => rt::println!("  {n}: {address:#x}"),
        }
    }
}

/// The function that the runtime ends a panic in.
fn stops(name: Name<'_>) -> bool {
    name.words().eq(["rt", "component", "panicked"]) || name.words().eq(["rt", "component", "stop"])
}

/// What lies between the line that panicked and the end.
fn machinery(name: Name<'_>) -> bool {
    matches!(name.words().next(), Some("core" | "alloc" | "__rustc")) || stops(name)
}
