//! What can be wrong with a description, one sentence each.

use crate::{Right, limits};
use alloc::string::String;
use core::fmt;

/// Why a description is refused. The first field of most is the component's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    NoComponents,
    TooManyComponents(usize),
    TooManyThreads(usize),
    BadName(String),
    NameTooLong(String),
    ReservedName(String),
    DuplicateComponent(String),
    UnknownBinary {
        component: String,
        binary: String,
    },
    UnknownInterface {
        component: String,
        interface: String,
    },
    DuplicateProvides {
        component: String,
        interface: String,
    },
    DuplicateInvokes {
        component: String,
        interface: String,
    },
    NoProvider {
        component: String,
        interface: String,
    },
    AmbiguousProvider {
        component: String,
        interface: String,
        providers: String,
    },
    UnknownProvider {
        component: String,
        interface: String,
        provider: String,
    },
    ProviderLacks {
        component: String,
        interface: String,
        provider: String,
    },
    InvokesItself {
        component: String,
        interface: String,
    },
    Cycle(String),
    UnknownRight {
        component: String,
        word: String,
    },
    DuplicateRight {
        component: String,
        right: Right,
    },
    UselessRight {
        component: String,
        right: Right,
        because: &'static str,
    },
    CannotRestart {
        component: String,
        because: &'static str,
    },
    TwoHolders {
        right: Right,
        first: String,
        second: String,
    },
    NoHolder {
        right: Right,
        because: &'static str,
    },
    BadSize {
        what: String,
        text: String,
    },
    MemoryMinZero,
    BadHeap {
        component: String,
        text: String,
    },
    BadHeapRange {
        component: String,
        start: String,
        max: String,
    },
    BadHeapKept {
        component: String,
        start: String,
        kept: String,
        max: String,
    },
    HeapWithoutManager(String),
    BadStack {
        component: String,
        text: String,
    },
    BadPool {
        component: String,
        pages: u64,
        least: u64,
        max: u64,
    },
    BadMemory {
        component: String,
        text: String,
    },
    MemoryUnusable {
        component: String,
        because: &'static str,
    },
    PoolWithoutManager(String),
    BadDevice {
        component: String,
        text: String,
    },
    DuplicateDevice {
        pci: String,
        first: String,
        second: String,
    },
    DeviceWithoutScheduler(String),
    TooManyImports {
        component: String,
        count: usize,
    },
    TooManyGrants {
        component: String,
        count: usize,
    },
    ArgumentsTooLong {
        component: String,
        bytes: usize,
    },
    MemoryTooSmall {
        minimum: u64,
        needed: u64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Problem::*;
        match self {
            NoComponents => write!(f, "the image has no [[component]]"),
            TooManyComponents(n) => {
                write!(
                    f,
                    "{n} components are more than the {} an image can hold besides init",
                    abi::ComponentId::MAX - 1
                )
            }
            TooManyThreads(n) => {
                write!(
                    f,
                    "{n} threads are more than the {} an image can hold besides init's",
                    abi::ThreadId::MAX - 1
                )
            }
            BadName(name) => {
                write!(
                    f,
                    "`{name}` is no name: use lower-case letters, digits and `-`, a letter first"
                )
            }
            NameTooLong(name) => {
                write!(
                    f,
                    "the name `{name}` is longer than {} bytes",
                    limits::COMPONENT_NAME_BYTES
                )
            }
            ReservedName(name) => {
                write!(
                    f,
                    "`{name}` is in every image already and cannot be described"
                )
            }
            DuplicateComponent(name) => write!(f, "two components are named `{name}`"),
            UnknownBinary { component, binary } => {
                write!(
                    f,
                    "component `{component}`: no package builds a component `{binary}`"
                )
            }
            UnknownInterface {
                component,
                interface,
            } => {
                write!(
                    f,
                    "component `{component}`: no file in idl/interfaces declares `{interface}`"
                )
            }
            DuplicateProvides {
                component,
                interface,
            } => {
                write!(f, "component `{component}` provides `{interface}` twice")
            }
            DuplicateInvokes {
                component,
                interface,
            } => {
                write!(f, "component `{component}` invokes `{interface}` twice")
            }
            NoProvider {
                component,
                interface,
            } => {
                write!(
                    f,
                    "component `{component}` invokes `{interface}`, which nothing in the image provides"
                )
            }
            AmbiguousProvider {
                component,
                interface,
                providers,
            } => {
                write!(
                    f,
                    "component `{component}` invokes `{interface}`, which {providers} provide: write `{interface}@NAME`"
                )
            }
            UnknownProvider {
                component,
                interface,
                provider,
            } => {
                write!(
                    f,
                    "component `{component}` invokes `{interface}@{provider}`, but no component is named `{provider}`"
                )
            }
            ProviderLacks {
                component,
                interface,
                provider,
            } => {
                write!(
                    f,
                    "component `{component}` invokes `{interface}@{provider}`, but `{provider}` does not provide `{interface}`"
                )
            }
            InvokesItself {
                component,
                interface,
            } => {
                write!(
                    f,
                    "component `{component}` invokes `{interface}`, which it provides itself"
                )
            }
            Cycle(path) => write!(f, "invocations go in a circle: {path}"),
            UnknownRight { component, word } => {
                write!(
                    f,
                    "component `{component}` asks for a right `{word}`, which does not exist; there are {}",
                    Right::words()
                )
            }
            DuplicateRight { component, right } => {
                write!(
                    f,
                    "component `{component}` asks for the right `{}` twice",
                    right.word()
                )
            }
            UselessRight {
                component,
                right,
                because,
            } => {
                write!(
                    f,
                    "component `{component}` cannot use the right `{}`: {because}",
                    right.word()
                )
            }
            CannotRestart { component, because } => {
                write!(
                    f,
                    "component `{component}` cannot be started anew: {because}"
                )
            }
            TwoHolders {
                right,
                first,
                second,
            } => {
                write!(
                    f,
                    "both `{first}` and `{second}` ask for the right `{}`, which one component can have",
                    right.word()
                )
            }
            NoHolder { right, because } => {
                write!(
                    f,
                    "no component has the right `{}`: {because}",
                    right.word()
                )
            }
            BadSize { what, text } => {
                write!(
                    f,
                    "{what}: `{text}` is no size: write it like 64KiB, 4MiB or 1GiB, in whole pages of 4KiB"
                )
            }
            MemoryMinZero => write!(f, "memory_min is zero"),
            BadHeap { component, text } => {
                write!(
                    f,
                    "component `{component}`: a heap of {text} is more than {} GiB",
                    limits::MAX_HEAP_BYTES >> 30
                )
            }
            BadHeapRange {
                component,
                start,
                max,
            } => {
                write!(
                    f,
                    "component `{component}`: a heap cannot grow from {start} to {max}: it starts with a page or more and ends at {} GiB or less",
                    limits::MAX_GROWN_HEAP_BYTES >> 30
                )
            }
            BadHeapKept {
                component,
                start,
                kept,
                max,
            } => {
                write!(
                    f,
                    "component `{component}`: of a heap from {start} to {max}, {kept} cannot be kept: it is no less than the first and no more than the second"
                )
            }
            HeapWithoutManager(name) => {
                write!(
                    f,
                    "component `{name}` has a heap that grows but does not invoke `cbuf`"
                )
            }
            BadStack { component, text } => {
                write!(
                    f,
                    "component `{component}`: a stack of {text} is not between 4KiB and {}KiB",
                    limits::MAX_STACK_BYTES >> 10
                )
            }
            BadPool {
                component,
                pages,
                least,
                max,
            } => {
                write!(
                    f,
                    "component `{component}`: a pool of {pages} pages, {least} at least and {max} at most, is not in order within 1 to {} pages",
                    limits::MAX_POOL_PAGES
                )
            }
            BadMemory { component, text } => {
                write!(
                    f,
                    "component `{component}`: {text} is no memory of its own: that is {} MiB to {} GiB in multiples of 2 MiB, aligned to 2MiB or 1GiB",
                    limits::MIN_MEMORY_BYTES >> 20,
                    limits::MAX_MEMORY_BYTES >> 30
                )
            }
            MemoryUnusable { component, because } => {
                write!(
                    f,
                    "component `{component}` cannot use memory of its own: {because}"
                )
            }
            PoolWithoutManager(name) => {
                write!(
                    f,
                    "component `{name}` has a pool but does not invoke `cbuf`"
                )
            }
            BadDevice { component, text } => {
                write!(
                    f,
                    "component `{component}`: `{text}` is no PCI device: write it like 1af4:1041"
                )
            }
            DuplicateDevice { pci, first, second } => {
                write!(
                    f,
                    "both `{first}` and `{second}` ask for the device {pci}, which one component can have"
                )
            }
            DeviceWithoutScheduler(name) => {
                write!(
                    f,
                    "component `{name}` has a device but does not invoke `sched`, so it could not wait for its interrupt"
                )
            }
            TooManyImports { component, count } => {
                write!(
                    f,
                    "component `{component}` invokes {count} interfaces, more than the {} that fit its start information",
                    limits::MAX_IMPORTS
                )
            }
            TooManyGrants { component, count } => {
                write!(
                    f,
                    "component `{component}` would be granted {count} objects, more than the {} that fit its start information",
                    limits::MAX_GRANTS
                )
            }
            ArgumentsTooLong { component, bytes } => {
                write!(
                    f,
                    "component `{component}`: {bytes} bytes of arguments are more than {}",
                    limits::ARGUMENT_BYTES
                )
            }
            MemoryTooSmall { minimum, needed } => {
                write!(
                    f,
                    "memory_min is {} KiB, but heaps, stacks, pools and memory of components' own alone take {} KiB",
                    minimum >> 10,
                    needed >> 10
                )
            }
        }
    }
}

impl core::error::Error for Problem {}

/// What is allowed and yet likely a mistake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Warning {
    /// Invoking carries the invoker's priority along, so invoked code never runs too low. But a
    /// provider's own thread shares its locks: where it runs lower than a thread that comes in,
    /// the one that comes in can wait for it, and though it lends its priority meanwhile, for as
    /// long as the lock is held. Not for threads that are said to hold locks for moments only.
    PriorityInversion {
        invoker: String,
        high: u32,
        provider: String,
        low: u32,
    },
    /// Nothing invokes it and it has no thread.
    Idle(String),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::PriorityInversion {
                invoker,
                high,
                provider,
                low,
            } => write!(
                f,
                "a thread of `{invoker}` (priority {high}) reaches `{provider}`, whose own thread has priority {low} and may hold its locks"
            ),
            Warning::Idle(name) => {
                write!(
                    f,
                    "component `{name}` does nothing: it has no thread and nothing invokes it"
                )
            }
        }
    }
}
