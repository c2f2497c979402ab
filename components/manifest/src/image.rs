//! The checked description: numbers instead of names.

use crate::{Right, graph};
use abi::ComponentId;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A checked image. `components[i]` has id `i + 1`; id 0 is `init`, which no description names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Image {
    pub name: String,
    pub arguments: String,
    pub memory_min_bytes: u64,
    pub components: Vec<Component>,
    /// What `init` itself invokes: `sched_control` and `cbuf_policy` where the image has them.
    pub init_imports: Vec<Edge>,
    /// Ids of all components, each after everything that it invokes.
    pub start_order: Vec<u16>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Component {
    pub name: String,
    pub binary: String,
    pub provides: Vec<Provided>,
    pub imports: Vec<Edge>,
    /// Heap at start.
    pub heap_bytes: u64,
    /// What it can always grow to, by memory of the CBUF manager's that is set aside for it.
    pub heap_kept_bytes: u64,
    /// What it may grow to, where there is memory that nothing is meant for.
    pub heap_max_bytes: u64,
    pub stack_bytes: u64,
    pub pool: Option<Pool>,
    /// Memory that it manages itself, besides heap and pool.
    pub memory: Option<Memory>,
    pub rights: Vec<Right>,
    pub device: Option<Device>,
    pub arguments: String,
    pub supervised: bool,
    /// Started anew when it died.
    pub restart: bool,
    pub threads: Vec<Thread>,
}

/// An interface that a component provides; `number` is from the interface's file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Provided {
    pub interface: String,
    pub number: u16,
}

/// An interface that a component may invoke, and the component that answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Edge {
    pub interface: String,
    pub number: u16,
    /// Component id.
    pub provider: u16,
}

/// A CBUF pool, in pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pool {
    /// At start.
    pub pages: u64,
    /// No policy goes below this.
    pub least: u64,
    pub max: u64,
}

/// A component's own memory: one piece that begins at a multiple of `align`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Memory {
    pub bytes: u64,
    pub align: u64,
}

/// A PCI function by its numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Device {
    pub vendor: u16,
    pub device: u16,
}

/// A thread that begins in this component. Thread 0 is `init`'s.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Thread {
    pub id: u16,
    pub priority: u32,
    pub argument: u64,
}

impl Component {
    /// Pages that its heap may grow by.
    pub fn heap_growth_pages(&self) -> u64 {
        self.heap_max_bytes.saturating_sub(self.heap_bytes) / abi::layout::PAGE as u64
    }

    /// Of these, pages that are set aside for it.
    pub fn heap_kept_pages(&self) -> u64 {
        self.heap_kept_bytes.saturating_sub(self.heap_bytes) / abi::layout::PAGE as u64
    }

    /// Whether the CBUF manager gives it memory: as buffers, or for its heap.
    pub fn is_client(&self) -> bool {
        self.pool.is_some() || self.heap_growth_pages() > 0
    }

    pub fn has(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Runs with interrupts off: only the component that holds all threads.
    pub fn no_preempt(&self) -> bool {
        self.has(Right::Threads)
    }
}

impl Image {
    /// The component with that id; `None` for `init` and for ids the image does not have.
    pub fn component(&self, id: ComponentId) -> Option<&Component> {
        self.components.get(usize::from(id.0).checked_sub(1)?)
    }

    /// All described components with their ids.
    pub fn ids(&self) -> impl Iterator<Item = (ComponentId, &Component)> {
        self.components
            .iter()
            .enumerate()
            .map(|(i, c)| (ComponentId(i as u16 + 1), c))
    }

    /// What the component with that id invokes; `init` included.
    pub fn imports(&self, id: ComponentId) -> &[Edge] {
        match self.component(id) {
            Some(component) => &component.imports,
            None if id == ComponentId::INIT => &self.init_imports,
            None => &[],
        }
    }

    /// The components that `id` shares an edge with, as a bit set: those that it may send
    /// buffers to and receive buffers from.
    pub fn peers(&self, id: ComponentId) -> u64 {
        let mut set = 0;
        for other in 0..=self.components.len() as u16 {
            for edge in self.imports(ComponentId(other)) {
                if other == id.0 {
                    set |= 1 << edge.provider;
                } else if edge.provider == id.0 {
                    set |= 1 << other;
                }
            }
        }
        set
    }

    /// The components that `id`'s threads come to by invocations, itself included, `init` left
    /// out, as a bit set.
    pub fn reached(&self, id: ComponentId) -> u64 {
        let comes_to =
            |(other, _): &(ComponentId, _)| graph::reaching(self, *other) >> id.0 & 1 == 1;
        let others = self.ids().filter(comes_to);
        others.fold(1 << id.0, |set, (other, _)| set | 1 << other.0)
    }

    /// The highest priority of a thread that comes to `id` by invocations.
    pub fn priority_in(&self, id: ComponentId) -> u32 {
        let reaching = graph::reaching(self, id) | 1 << id.0;
        let comes = |(other, _): &(ComponentId, _)| reaching >> other.0 & 1 == 1;
        let threads = self.ids().filter(comes).flat_map(|(_, c)| &c.threads);
        threads.map(|t| t.priority).max().unwrap_or(0)
    }

    /// The threads that can ever run inside `id`, as a bit set by thread number: its own, those
    /// of everything that reaches it by invocations, and `init`'s (which starts every component).
    /// A fault takes any thread into `init`, so what `init` reaches, every thread can reach.
    pub fn threads_in(&self, id: ComponentId) -> u64 {
        let reaching = graph::reaching(self, id);
        let faults = self
            .init_imports
            .iter()
            .any(|e| reaching >> e.provider & 1 == 1);
        let mut threads = 1;
        for (other, component) in self.ids() {
            if faults || reaching >> other.0 & 1 == 1 {
                threads |= component.threads.iter().fold(0, |set, t| set | 1 << t.id);
            }
        }
        threads
    }

    /// Pages that all heaps as far as they are set aside, stacks, starting pools and components' own memory take
    /// together.
    pub fn pages_at_start(&self) -> u64 {
        let page = abi::layout::PAGE as u64;
        let one = |id, c: &Component| {
            let stacks = u64::from(self.threads_in(id).count_ones()) * c.stack_bytes;
            let own = c.memory.map_or(0, |m| m.bytes / page);
            (c.heap_kept_bytes + stacks) / page + c.pool.map_or(0, |p| p.pages) + own
        };
        self.ids()
            .map(|(id, c)| one(id, c))
            .fold(0, u64::saturating_add)
    }
}
