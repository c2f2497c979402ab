//! Deaths of components, and questions about them. A fault comes in on the thread that faulted,
//! so several can be in here at once; all state is atomic. What can be done at once is done here:
//! the component is dead, its device silent, scheduler and CBUF manager know. Whether it is
//! started anew is [`crate::keeper`]'s business, on init's own thread.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use abi::start::{Name, init_slot};
use abi::{CPtr, ComponentId, Error, ThreadId, start::StartInfo};
use init::pci::Address;
use rt::cap;

use crate::built::Built;
use crate::grants::nothing;

/// Exit code when a component that everything needs has died.
const CORE_SERVICE_DIED: u64 = 2;
/// The kernel's word for a component that was killed.
const KILLED: u64 = 2;
/// Init's own thread.
const KEEPER: ThreadId = ThreadId(0);

/// What init remembers of one component.
struct Record {
    /// Its Component capability; 0 where there is none.
    object: AtomicU32,
    /// Its device as [`pack`] writes it; 0 where there is none.
    device: AtomicU32,
    faults: AtomicU64,
    restarts: AtomicU64,
}

// Constants of interior mutability, for array initialisation alone.
#[allow(clippy::declare_interior_mutable_const)]
const EMPTY: Record = Record {
    object: AtomicU32::new(0),
    device: AtomicU32::new(0),
    faults: AtomicU64::new(0),
    restarts: AtomicU64::new(0),
};

static RECORDS: [Record; ComponentId::MAX] = [EMPTY; ComponentId::MAX];
/// Components that are dead, as a bit set. Whoever sets a bit does what a death asks for.
static DEAD: AtomicU64 = AtomicU64::new(0);
/// Those of them that died by a fault.
static FAULTED: AtomicU64 = AtomicU64::new(0);
/// Those of them that the keeper has not seen yet.
static NEWS: AtomicU64 = AtomicU64::new(0);
/// Components that are started anew when they die.
static RESTART: AtomicU64 = AtomicU64::new(0);
/// Components that nothing works without.
static CORE: AtomicU64 = AtomicU64::new(0);
static FREE_PAGES: AtomicU64 = AtomicU64::new(0);
static TOTAL_PAGES: AtomicU64 = AtomicU64::new(0);

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

/// A device's address in a word that is not 0.
fn pack(at: Address) -> u32 {
    1 << 31 | u32::from(at.bus) << 16 | u32::from(at.device) << 8 | u32::from(at.function)
}

fn unpack(word: u32) -> Option<Address> {
    let [function, device, bus, _] = word.to_le_bytes();
    (word != 0).then_some(Address {
        bus,
        device,
        function,
    })
}

/// Remembers what is supervised from now on.
pub fn watch(components: &[Built<'_>], free_pages: u64, total_pages: u64) {
    for built in components {
        let Some(record) = RECORDS.get(usize::from(built.id.0)) else {
            continue;
        };
        let device = built.device.map_or(0, pack);
        record.device.store(device, Ordering::Relaxed);
        record.object.store(built.object.0, Ordering::Relaxed);
        if built.component.is_core() {
            CORE.fetch_or(bit(built.id), Ordering::Relaxed);
        } else if built.component.restart {
            RESTART.fetch_or(bit(built.id), Ordering::Relaxed);
        }
    }
    FREE_PAGES.store(free_pages, Ordering::Relaxed);
    TOTAL_PAGES.store(total_pages, Ordering::Relaxed);
}

fn bit(id: ComponentId) -> u64 {
    1u64.checked_shl(u32::from(id.0)).unwrap_or(0)
}

/// Is the component in the set?
fn is_in(set: &AtomicU64, id: ComponentId) -> bool {
    // SeqCst: the sets are read and written one after the other in an order that matters.
    set.load(Ordering::SeqCst) & bit(id) != 0
}

/// A component faulted on this thread. Ends it; the thread goes back to the component's invoker.
pub fn fault(args: [u64; 4]) -> rt::Reply {
    let [what, place @ ..] = args;
    let id = ComponentId((what >> 32) as u16);
    record(id).ok_or(Error::NotFound)?;
    crate::report::print(id, what & u64::from(u32::MAX), place);
    faulted(id);
    Err(Error::Dead)
}

/// A component faulted, or was found dead, or did not start: it ends.
pub fn faulted(id: ComponentId) {
    let Some(record) = record(id) else { return };
    if is_in(&CORE, id) {
        rt::println!("nothing works without it: stopping");
        let _ = cap::kernel::shutdown(init_slot::KERNEL, CORE_SERVICE_DIED);
    }
    record.faults.fetch_add(1, Ordering::Relaxed);
    // Dead already when two of its threads fault at once, or when the kernel has killed it.
    let _ = cap::component::kill(CPtr(record.object.load(Ordering::Relaxed)));
    ended(id, record, true);
}

/// What the first to know of a death does. SeqCst throughout: the keeper must not see the news
/// before all this is done, nor a thread that dies later find the component dead still.
fn ended(id: ComponentId, record: &Record, by_fault: bool) {
    if DEAD.fetch_or(bit(id), Ordering::SeqCst) & bit(id) != 0 {
        return;
    }
    // Before the manager gives its buffers to others.
    if let Some(device) = unpack(record.device.load(Ordering::Relaxed)) {
        crate::device::silence(device);
    }
    tell_of_death(id);
    if is_in(&RESTART, id) {
        if by_fault {
            FAULTED.fetch_or(bit(id), Ordering::SeqCst);
        }
        NEWS.fetch_or(bit(id), Ordering::SeqCst);
        if let Err(error) = rt::sched::wake(KEEPER) {
            rt::println!("cannot wake the supervisor: {error}");
        }
    }
}

/// Tells the scheduler and the CBUF manager, where the image has them.
fn tell_of_death(id: ComponentId) {
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

pub fn is_dead(id: ComponentId) -> bool {
    is_in(&DEAD, id)
}

/// Deaths that the keeper has not seen, as a bit set.
pub fn take_news() -> u64 {
    NEWS.swap(0, Ordering::SeqCst)
}

/// Whether it died by a fault; asked once a death.
pub fn take_faulted(id: ComponentId) -> bool {
    FAULTED.fetch_and(!bit(id), Ordering::SeqCst) & bit(id) != 0
}

/// Faults that the kernel had to end by itself, because no supervisor could take them: the
/// component is dead and nobody has been told yet.
pub fn look_for_dead(built: &Built<'_>) {
    let dead = cap::component::identify(built.object).is_ok_and(|(state, _)| state == KILLED);
    if dead && !is_in(&DEAD, built.id) {
        rt::println!("component {} was found dead", built.component.name);
        faulted(built.id);
    }
}

/// The keeper is about to revive it. Before that, so that no death after it is missed.
pub fn revived(id: ComponentId) {
    DEAD.fetch_and(!bit(id), Ordering::SeqCst);
    if let Some(record) = record(id) {
        record.restarts.fetch_add(1, Ordering::Relaxed);
    }
}

/// The keeper gives it up.
pub fn given_up(id: ComponentId) {
    RESTART.fetch_and(!bit(id), Ordering::SeqCst);
}

/// A component by the number that a caller gives.
fn by_number(component: u32) -> Option<(ComponentId, &'static Record)> {
    let id = ComponentId(u16::try_from(component).ok()?);
    Some((id, record(id)?))
}

/// Interface `supervisor`.
pub struct Service;

impl stubs::supervisor::Server for Service {
    fn state(&self, _caller: ComponentId, component: u32) -> Result<(u32, u64, u64), Error> {
        let Some((id, record)) = by_number(component) else {
            return Ok((0, 0, 0));
        };
        let state = match (is_in(&DEAD, id), is_in(&RESTART, id)) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 3,
        };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ok((state, count(&record.faults), count(&record.restarts)))
    }

    fn free_pages(&self, _caller: ComponentId) -> Result<u64, Error> {
        Ok(FREE_PAGES.load(Ordering::Relaxed))
    }

    fn total_pages(&self, _caller: ComponentId) -> Result<u64, Error> {
        Ok(TOTAL_PAGES.load(Ordering::Relaxed))
    }
}

/// Interface `supervisor_control`.
pub struct Control;

impl stubs::supervisor_control::Server for Control {
    fn kill(&self, _caller: ComponentId, component: u32) -> Result<(), Error> {
        let (id, record) = by_number(component).ok_or(Error::NotFound)?;
        if is_in(&CORE, id) {
            return Err(Error::Refused);
        }
        cap::component::kill(CPtr(record.object.load(Ordering::Relaxed)))?;
        ended(id, record, false);
        Ok(())
    }
}
