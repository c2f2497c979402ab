//! After everything is built: faults of components, and questions about them. Faults come in on
//! the thread that faulted, so several can be in here at once; all state is atomic.

use core::fmt::Write;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::op::lifecycle::fault;
use abi::start::{Name, init_slot};
use abi::{CPtr, ComponentId, Error, start::StartInfo};
use rt::cap;
use rt::console::Line;

use crate::grants::nothing;
use crate::image::Built;

/// Exit code when a component that everything needs has died.
const CORE_SERVICE_DIED: u64 = 2;
/// Interfaces whose provider cannot be missed.
const CORE_SERVICES: [&str; 2] = ["sched", "cbuf"];

/// What init remembers of one component.
struct Record {
    /// Its Component capability; 0 where there is none.
    object: AtomicU32,
    faults: AtomicU64,
    name: [AtomicU64; 3],
}

// Constants of interior mutability, for array initialisation alone.
#[allow(clippy::declare_interior_mutable_const)]
const EMPTY: Record = Record {
    object: AtomicU32::new(0),
    faults: AtomicU64::new(0),
    name: [const { AtomicU64::new(0) }; 3],
};

static RECORDS: [Record; ComponentId::MAX] = [EMPTY; ComponentId::MAX];
/// Components that died, as a bit set.
static DEAD: AtomicU64 = AtomicU64::new(0);
/// Components that nothing works without.
static CORE: AtomicU64 = AtomicU64::new(0);
static FREE_PAGES: AtomicU64 = AtomicU64::new(0);

/// Start information of init itself, for the runtime.
pub static OWN_FIRST: StartInfo = OWN;
/// The same, to fill in.
pub const OWN: StartInfo = own();

const fn own() -> StartInfo {
    let mut name = Name::EMPTY;
    name.0[0] = b'i';
    name.0[1] = b'n';
    name.0[2] = b'i';
    name.0[3] = b't';
    nothing(ComponentId::INIT, name)
}

fn record(id: ComponentId) -> Option<&'static Record> {
    let record = RECORDS.get(usize::from(id.0))?;
    // Relaxed, here and below: written before any other thread runs.
    (record.object.load(Ordering::Relaxed) != 0).then_some(record)
}

/// Remembers what is supervised from now on.
pub fn watch(components: &[Built], image: &manifest::Image, free_pages: u64) {
    for built in components {
        let Some(record) = RECORDS.get(usize::from(built.id.0)) else {
            continue;
        };
        let mut name = [0; 24];
        let len = built.name.len().min(name.len());
        name[..len].copy_from_slice(&built.name.as_bytes()[..len]);
        for (word, bytes) in record.name.iter().zip(name.as_chunks::<8>().0) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        record.object.store(built.object.0, Ordering::Relaxed);
    }
    for (id, component) in image.ids() {
        let core = component
            .provides
            .iter()
            .any(|p| CORE_SERVICES.contains(&p.interface.as_str()));
        // An image may say that the machine is nothing without a component.
        if core || !component.supervised {
            CORE.fetch_or(bit(id), Ordering::Relaxed);
        }
    }
    FREE_PAGES.store(free_pages, Ordering::Relaxed);
}

fn bit(id: ComponentId) -> u64 {
    1u64.checked_shl(u32::from(id.0)).unwrap_or(0)
}

/// A component faulted on this thread. Kills it and tells those who must know; the thread goes
/// back to the component's invoker.
pub fn fault(args: [u64; 4]) -> rt::Reply {
    let [what, address, instruction, stack] = args;
    let id = ComponentId((what >> 32) as u16);
    let kind = fault::NAMES
        .get(what as u32 as usize)
        .copied()
        .unwrap_or("fault");
    let record = record(id).ok_or(Error::NotFound)?;
    record.faults.fetch_add(1, Ordering::Relaxed);
    let mut line = Line::new();
    // A line never refuses text.
    let _ = write!(line, "component ");
    for word in &record.name {
        for byte in word.load(Ordering::Relaxed).to_le_bytes() {
            if byte != 0 {
                let _ = write!(line, "{}", char::from(byte));
            }
        }
    }
    let thread = rt::thread_id().0;
    let _ = writeln!(
        line,
        ", thread {thread}: {kind}, address {address:#x}, instruction {instruction:#x}, stack {stack:#x}; it is killed"
    );
    drop(line);
    if CORE.load(Ordering::Relaxed) & bit(id) != 0 {
        rt::println!("nothing works without it: stopping");
        let _ = cap::kernel::shutdown(init_slot::KERNEL, CORE_SERVICE_DIED);
    }
    // Dead already when two of its threads fault at once.
    let _ = cap::component::kill(CPtr(record.object.load(Ordering::Relaxed)));
    // Relaxed: one bit, no other data hangs on it.
    if DEAD.fetch_or(bit(id), Ordering::Relaxed) & bit(id) == 0 {
        died(id);
    }
    Err(Error::Dead)
}

/// Tells the scheduler and the CBUF manager, where the image has them.
fn died(id: ComponentId) {
    let number = u32::from(id.0);
    let told = stubs::sched_control::Client::bind().and_then(|s| s.component_died(number));
    if let Err(error) = told {
        rt::println!("cannot tell the scheduler: {error}");
    }
    match stubs::cbuf_policy::Client::bind().and_then(|c| c.component_died(number)) {
        Ok(()) | Err(Error::NotFound) => {}
        Err(error) => rt::println!("cannot tell the CBUF manager: {error}"),
    }
}

/// Interface `supervisor`.
pub struct Service;

impl stubs::supervisor::Server for Service {
    fn state(&self, _caller: ComponentId, component: u32) -> Result<(u32, u64), Error> {
        let id = u16::try_from(component).ok().map(ComponentId);
        let Some((id, record)) = id.and_then(|id| Some((id, record(id)?))) else {
            return Ok((0, 0));
        };
        let dead = DEAD.load(Ordering::Relaxed) & bit(id) != 0;
        let state = if dead { 2 } else { 1 };
        Ok((state, record.faults.load(Ordering::Relaxed)))
    }

    fn free_pages(&self, _caller: ComponentId) -> Result<u64, Error> {
        Ok(FREE_PAGES.load(Ordering::Relaxed))
    }
}
