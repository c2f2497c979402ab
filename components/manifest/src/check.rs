//! The checks that need more than one field, and the way from a description to an [`Image`].

use crate::resolve::Resolver;
use crate::source::{ComponentSource, Description, HeapSource, MemorySource};
use crate::{
    Component, Device, Image, Memory, Pool, Problem, Right, Thread, Warning, graph, limits, size,
};
use abi::layout::PAGE;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What exists outside the description: the programs that can be built and the interfaces with
/// the numbers that their files declare.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    pub binaries: &'a [String],
    pub interfaces: &'a [(String, u16)],
}

/// A description with nothing wrong in it.
#[derive(Clone, Debug)]
pub struct Checked {
    pub image: Image,
    pub warnings: Vec<Warning>,
}

/// Resolves every name and checks every rule. Answers all problems found, not only the first;
/// a cycle or too little memory is looked for only once everything else is in order.
pub fn check(source: &Description, known: &Known<'_>) -> Result<Checked, Vec<Problem>> {
    let mut out = Vec::new();
    name_ok(&source.image.name, &mut out);
    let memory_min_bytes = size_or("memory_min", &source.image.memory_min, &mut out);
    if memory_min_bytes == Some(0) {
        out.push(Problem::MemoryMinZero);
    }
    let threads = source
        .component
        .iter()
        .map(|c| c.thread.len())
        .sum::<usize>();
    match source.component.len() {
        0 => out.push(Problem::NoComponents),
        n if n >= abi::ComponentId::MAX => out.push(Problem::TooManyComponents(n)),
        _ if threads >= abi::ThreadId::MAX => out.push(Problem::TooManyThreads(threads)),
        _ => {}
    }
    if !out.is_empty() {
        return Err(out);
    }
    let resolver = Resolver::new(&source.component, known);
    let mut components = Vec::new();
    let mut next_thread = 1;
    for (i, one) in source.component.iter().enumerate() {
        if source.component[..i].iter().any(|c| c.name == one.name) {
            out.push(Problem::DuplicateComponent(one.name.clone()));
        }
        let mut component = component(one, known, &mut out);
        component.provides = resolver.provides(one, &mut out);
        component.imports = resolver.imports(i as u16 + 1, one, &mut out);
        for thread in &one.thread {
            let (priority, argument) = (thread.priority, thread.argument);
            component.threads.push(Thread {
                id: next_thread,
                priority,
                argument,
            });
            next_thread += 1;
        }
        restart(one, &mut component, &mut out);
        components.push(component);
    }
    across(&components, &mut out);
    if !out.is_empty() {
        return Err(out);
    }
    let init_imports = resolver.init_imports();
    let start_order = graph::start_order(&components, &init_imports).map_err(|p| alloc::vec![p])?;
    let image = Image {
        name: source.image.name.clone(),
        arguments: source.image.arguments.clone(),
        memory_min_bytes: memory_min_bytes.unwrap_or(0),
        components,
        init_imports,
        start_order,
    };
    let (minimum, needed) = (image.memory_min_bytes, image.pages_at_start() * PAGE as u64);
    if needed > minimum {
        return Err(alloc::vec![Problem::MemoryTooSmall { minimum, needed }]);
    }
    let warnings = graph::warnings(&image, source);
    Ok(Checked { image, warnings })
}

fn name_ok(name: &str, out: &mut Vec<Problem>) {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(inner) {
        out.push(Problem::BadName(name.into()));
    } else if name.len() > limits::COMPONENT_NAME_BYTES {
        out.push(Problem::NameTooLong(name.into()));
    }
}

fn size_or(what: &str, text: &str, out: &mut Vec<Problem>) -> Option<u64> {
    let bytes = size::page_bytes(text);
    if bytes.is_none() {
        out.push(Problem::BadSize {
            what: what.into(),
            text: text.into(),
        });
    }
    bytes
}

/// What can be said of a component without looking at others.
fn component(one: &ComponentSource, known: &Known<'_>, out: &mut Vec<Problem>) -> Component {
    name_ok(&one.name, out);
    let name = || one.name.clone();
    if ["init", abi::start::KERNEL].contains(&one.name.as_str()) {
        out.push(Problem::ReservedName(name()));
    }
    let binary = one.binary.clone().unwrap_or_else(name);
    if !known.binaries.contains(&binary) {
        out.push(Problem::UnknownBinary {
            component: name(),
            binary: binary.clone(),
        });
    }
    let mut sized = |key: &str, text: &Option<String>, default| match text {
        Some(text) => size_or(&format!("component `{}`, {key}", one.name), text, out),
        None => Some(default),
    };
    let default = limits::DEFAULT_STACK_BYTES;
    let stack_bytes = sized("stack", &one.stack, default).unwrap_or(default);
    if !limits::stack_ok(stack_bytes) {
        let text = one.stack.clone().unwrap_or_default();
        out.push(Problem::BadStack {
            component: name(),
            text,
        });
    }
    let pool = one.pool.as_ref().map(|p| Pool {
        pages: p.pages,
        least: p.least.unwrap_or(p.pages),
        max: p.max.unwrap_or(p.pages),
    });
    if let Some(Pool { pages, least, max }) = pool.filter(|pool| !limits::pool_ok(pool)) {
        out.push(Problem::BadPool {
            component: name(),
            pages,
            least,
            max,
        });
    }
    let device = one.device.as_ref().and_then(|d| {
        let parsed = pci(&d.pci);
        if parsed.is_none() {
            out.push(Problem::BadDevice {
                component: name(),
                text: d.pci.clone(),
            });
        }
        parsed
    });
    let heap = heap(one, out);
    let bytes = one.arguments.len();
    if bytes > limits::ARGUMENT_BYTES {
        out.push(Problem::ArgumentsTooLong {
            component: name(),
            bytes,
        });
    }
    let count = one.invokes.len();
    if count > limits::MAX_IMPORTS {
        out.push(Problem::TooManyImports {
            component: name(),
            count,
        });
    }
    Component {
        name: name(),
        binary,
        provides: Vec::new(),
        imports: Vec::new(),
        heap_bytes: heap[0],
        heap_kept_bytes: heap[1],
        heap_max_bytes: heap[2],
        stack_bytes,
        pool,
        memory: one.memory.as_ref().and_then(|m| memory(one, m, out)),
        rights: rights(one, out),
        device,
        arguments: one.arguments.clone(),
        supervised: one.supervised,
        restart: false,
        threads: Vec::new(),
    }
}

/// Bytes of its heap at start, set aside, and at most. What is wrong counts as none.
fn heap(one: &ComponentSource, out: &mut Vec<Problem>) -> [u64; 3] {
    const NONE: [u64; 3] = [0; 3];
    let component = one.name.clone();
    let mut sized = |key: &str, text: &str| {
        let what = format!("component `{component}`, {key}");
        size_or(&what, text, out)
    };
    match &one.heap {
        None => NONE,
        Some(HeapSource::Bytes(text)) => match sized("heap", text) {
            Some(bytes) if limits::heap_ok(bytes) => [bytes; 3],
            Some(_) => {
                let text = text.clone();
                out.push(Problem::BadHeap { component, text });
                NONE
            }
            None => NONE,
        },
        Some(HeapSource::Growing { start, kept, max }) => {
            let sizes = (sized("heap's start", start), sized("heap's max", max));
            let all = kept.as_ref().map(|text| sized("heap's kept", text));
            let (Some(first), Some(most)) = sizes else {
                return NONE;
            };
            let (start, max) = (start.clone(), max.clone());
            if !limits::heap_range_ok(first, most) {
                out.push(Problem::BadHeapRange {
                    component,
                    start,
                    max,
                });
                return NONE;
            }
            match all.unwrap_or(Some(most)) {
                Some(bytes) if limits::heap_kept_ok(first, bytes, most) => [first, bytes, most],
                Some(_) => {
                    out.push(Problem::BadHeapKept {
                        component,
                        start,
                        kept: kept.clone().unwrap_or_default(),
                        max,
                    });
                    NONE
                }
                None => NONE,
            }
        }
    }
}

/// Memory of its own, with its alignment.
fn memory(one: &ComponentSource, source: &MemorySource, out: &mut Vec<Problem>) -> Option<Memory> {
    let (text, align) = match source {
        MemorySource::Bytes(bytes) => (bytes.clone(), None),
        MemorySource::Aligned { bytes, align } => {
            (format!("{bytes} aligned to {align}"), Some(align))
        }
    };
    let (MemorySource::Bytes(bytes) | MemorySource::Aligned { bytes, .. }) = source;
    let mut sized = |key, text| {
        let what = format!("component `{}`, {key}", one.name);
        size_or(&what, text, out)
    };
    let bytes = sized("memory", bytes)?;
    let align = match align {
        Some(align) => sized("alignment of the memory", align)?,
        None => limits::natural_alignment(bytes),
    };
    if limits::memory_ok(bytes, align) {
        return Some(Memory { bytes, align });
    }
    let component = one.name.clone();
    out.push(Problem::BadMemory { component, text });
    None
}

/// Whether it is started anew, which needs everything else that is known of it.
fn restart(one: &ComponentSource, component: &mut Component, out: &mut Vec<Problem>) {
    component.restart = match (one.restart, component.cannot_restart()) {
        (None, _) => component.restarts_by_default(),
        (Some(true), Some(because)) => {
            let component = one.name.clone();
            out.push(Problem::CannotRestart { component, because });
            false
        }
        (Some(wanted), _) => wanted,
    };
}

fn pci(text: &str) -> Option<Device> {
    let (vendor, device) = text.split_once(':')?;
    let number = |hex: &str| {
        let digits = hex.len() == 4 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if digits {
            u16::from_str_radix(hex, 16).ok()
        } else {
            None
        }
    };
    Some(Device {
        vendor: number(vendor)?,
        device: number(device)?,
    })
}

fn rights(one: &ComponentSource, out: &mut Vec<Problem>) -> Vec<Right> {
    let mut done = Vec::new();
    for word in &one.rights {
        let component = one.name.clone();
        match Right::from_word(word) {
            None => out.push(Problem::UnknownRight {
                component,
                word: word.clone(),
            }),
            Some(right) if done.contains(&right) => {
                out.push(Problem::DuplicateRight { component, right });
            }
            Some(right) => done.push(right),
        }
    }
    done
}

/// Rules between components: rights that need a role, sole holders, devices, grants.
fn across(components: &[Component], out: &mut Vec<Problem>) {
    for one in components {
        let component = one.name.clone();
        let provides = |name: &str| one.provides.iter().any(|p| p.interface == name);
        let invokes = |name: &str| one.imports.iter().any(|e| e.interface == name);
        if one.pool.is_some() && !invokes("cbuf") {
            out.push(Problem::PoolWithoutManager(component.clone()));
        }
        if one.heap_growth_pages() > 0 && !invokes("cbuf") {
            out.push(Problem::HeapWithoutManager(component.clone()));
        }
        if one.device.is_some() && !invokes("sched") {
            out.push(Problem::DeviceWithoutScheduler(component.clone()));
        }
        if one.memory.is_some() {
            let because = if !one.has(Right::CSpace) {
                Some("it needs the right `cspace` to make anything of it")
            } else if one.has(Right::CbufClients) {
                Some("the CBUF manager lays the address space out that goes with it")
            } else {
                None
            };
            if let Some(because) = because {
                let component = component.clone();
                out.push(Problem::MemoryUnusable { component, because });
            }
        }
        let needs = [
            (
                Right::Dma,
                one.pool.is_some(),
                "it has no pool, so no buffer has an address",
            ),
            (
                Right::CbufClients,
                provides("cbuf"),
                "it does not provide `cbuf`",
            ),
            (
                Right::Ram,
                one.has(Right::CSpace),
                "memory is of use only with `cspace`",
            ),
            (
                Right::Threads,
                provides("sched_control"),
                "it does not provide `sched_control`",
            ),
        ];
        for (right, used, because) in needs {
            if one.has(right) && !used {
                out.push(Problem::UselessRight {
                    component: component.clone(),
                    right,
                    because,
                });
            }
        }
        let count = grants(one, components);
        if count > limits::MAX_GRANTS {
            out.push(Problem::TooManyGrants { component, count });
        }
    }
    for right in [Right::Ram, Right::CbufClients, Right::Threads] {
        let mut holders = components.iter().filter(|c| c.has(right));
        if let (Some(first), Some(second)) = (holders.next(), holders.next()) {
            let (first, second) = (first.name.clone(), second.name.clone());
            out.push(Problem::TwoHolders {
                right,
                first,
                second,
            });
        }
    }
    let nobody = |right| !components.iter().any(|c| c.has(right));
    let pools = components.iter().any(|c| c.pool.is_some());
    let heaps = components.iter().any(|c| c.heap_growth_pages() > 0);
    for right in [Right::Ram, Right::CbufClients] {
        let because = match (pools, heaps) {
            (true, _) => "the pools would stay empty",
            (false, true) => "no heap would grow",
            (false, false) => continue,
        };
        if nobody(right) {
            out.push(Problem::NoHolder { right, because });
        }
    }
    let threads = components.iter().any(|c| !c.threads.is_empty());
    for right in [Right::Threads, Right::Kernel] {
        if threads && nobody(right) {
            out.push(Problem::NoHolder {
                right,
                because: "no thread would ever run",
            });
        }
    }
    for (i, one) in components.iter().enumerate() {
        let earlier = &components[..i];
        let Some(device) = one.device else { continue };
        if let Some(first) = earlier.iter().find(|c| c.device == Some(device)) {
            let pci = format!("{:04x}:{:04x}", device.vendor, device.device);
            let (first, second) = (first.name.to_string(), one.name.to_string());
            out.push(Problem::DuplicateDevice { pci, first, second });
        }
    }
}

/// Grants that are certain before the machine is known; memory comes in as many pieces as the
/// machine has, and `init` stops where those do not fit.
fn grants(one: &Component, all: &[Component]) -> usize {
    let mut count = 0;
    if one.has(Right::Ram) {
        count += 1;
    }
    if one.memory.is_some() {
        count += 2;
    }
    if one.has(Right::Clock) {
        count += 1;
    }
    if one.has(Right::Observe) {
        count += 1;
    }
    if one.has(Right::CbufClients) {
        count += 1;
        count += 2 * all.iter().filter(|c| c.is_client()).count();
    }
    if one.has(Right::Threads) {
        count += 1 + all.iter().map(|c| c.threads.len()).sum::<usize>();
        count += all.iter().filter(|c| c.device.is_some()).count();
    }
    if one.device.is_some() {
        count += 3;
    }
    count
}
