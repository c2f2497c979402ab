//! Builds every component of the image: objects, address space, CSpace, start information.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::captype::{MapFlags, Rights};
use abi::layout::{CALLS, CBUFS, HEAP, OWN_SPACE, PAGE, STACK_STRIDE, STACKS, START_INFO};
use abi::op::component::flags;
use abi::start::{BootInfo, Import, StartInfo, init_slot, slot};
use abi::{Badge, CPtr, CapType, ComponentId, ThreadId};
use archive::Archive;
use init::arguments::{Word, words};
use init::pci::Address;
use manifest::{Component, Image, Right};
use rt::cap;

use crate::built::{Built, Kind, Part, Text};
use crate::device::Devices;
use crate::grants::{Grants, name};
use crate::memory::{Rest, Stock};
use crate::space::{Space, Window};
use crate::trouble::{Doing, Result, Trouble};
use crate::wall;

const PAGE_BYTES: u64 = PAGE as u64;
const READ_WRITE: MapFlags = MapFlags::READ.union(MapFlags::WRITE);
/// Root CNodes: 64 L2 CNodes for most, room for a million capabilities for who manages memory.
const L1_BYTES: u64 = PAGE_BYTES;
const LARGE_L1_BYTES: u64 = 256 << 10;
/// The supervisor's thread runs before all others, so that the whole image starts first.
pub const INIT_PRIORITY: u32 = u32::MAX;

/// A component while it is built.
struct Draft<'a> {
    id: ComponentId,
    component: &'a Component,
    object: CPtr,
    space: Space,
    grants: Grants,
    /// Table over its CBUF region, for the manager.
    region: Option<CPtr>,
    memory: Vec<Part<'a>>,
    texts: Vec<Text>,
    /// The page on which it counts its invokers.
    calls: CPtr,
    device: Option<Address>,
}

/// A thread that is configured.
struct Made {
    id: ThreadId,
    name: String,
    thread: CPtr,
    priority: u32,
    argument: u32,
    home: ComponentId,
}

pub struct Builder<'a> {
    pub boot: &'a BootInfo,
    pub archive: Archive<'a>,
    pub image: &'a Image,
    pub stock: Stock,
    pub window: Window,
    /// The page on which init counts its invokers.
    pub own_calls: CPtr,
}

/// Puts the component's name before what went wrong with it.
fn of(name: &str) -> impl Fn(Trouble) -> Trouble {
    move |trouble| Trouble(format!("component {name}: {}", trouble.0))
}

impl<'a> Builder<'a> {
    /// Builds all components and threads. Afterwards all memory that is left belongs to the
    /// component with the right `ram`, if the image has one.
    pub fn build(&mut self) -> Result<(Vec<Built<'a>>, StartInfo)> {
        let mut drafts = Vec::with_capacity(self.image.components.len());
        for (id, component) in self.image.ids() {
            drafts.push(self.object(id, component).map_err(of(&component.name))?);
        }
        for draft in &mut drafts {
            self.memory(draft).map_err(of(&draft.component.name))?;
        }
        for draft in &mut drafts {
            self.fill_space(draft).map_err(of(&draft.component.name))?;
        }
        let threads = self.threads(&drafts)?;
        let objects: Vec<CPtr> = drafts.iter().map(|d| d.object).collect();
        for draft in &mut drafts {
            self.imports(draft, &objects)
                .and_then(|()| self.rights(draft))
                .map_err(of(&draft.component.name))?;
        }
        self.devices(&mut drafts)?;
        self.clients(&mut drafts)?;
        self.tell_pools(&mut drafts)?;
        self.tell_threads(&mut drafts, &threads)?;
        self.observers(&mut drafts)?;
        self.arguments(&mut drafts)?;
        let own = self.own_imports(&objects)?;
        Ok((self.finish(drafts, &threads)?, own))
    }

    /// What init itself invokes: what the image says, and the scheduler to block.
    fn own_imports(&mut self, objects: &[CPtr]) -> Result<StartInfo> {
        let sched = self.image.ids().find_map(|(id, component)| {
            let mut provided = component.provides.iter();
            let sched = provided.find(|p| p.interface == "sched")?;
            Some((sched.interface.as_str(), sched.number, id.0))
        });
        let edges = self.image.init_imports.iter();
        let edges = edges.map(|e| (e.interface.as_str(), e.number, e.provider));
        let mut info = crate::supervise::OWN;
        for (interface, number, provider) in edges.chain(sched) {
            let object = usize::from(provider)
                .checked_sub(1)
                .and_then(|n| objects.get(n));
            let object = object
                .ok_or_else(|| Trouble::new("init invokes a component that does not exist"))?;
            let entry = self.stock.slot().doing("find a slot")?;
            let badge = Badge::new(ComponentId::INIT, number);
            cap::component::make_entry(*object, init_slot::CSPACE, entry, badge)
                .doing("make an entry")?;
            let at = usize::from(info.imports_len);
            let import = info.imports.get_mut(at);
            *import.ok_or_else(|| Trouble::new("init has too many imports"))? = Import {
                interface: name(interface)?,
                entry,
                peer: ComponentId(provider),
                reserved: 0,
            };
            info.imports_len += 1;
        }
        info.tsc_hz = self.boot.tsc_hz;
        Ok(info)
    }

    /// The component's kernel objects, configured.
    fn object(&mut self, id: ComponentId, component: &'a Component) -> Result<Draft<'a>> {
        let program = self
            .archive
            .component(&component.binary)
            .map_err(|e| Trouble::new(format!("program '{}': {}", component.binary, e.text())))?;
        let stock = &mut self.stock;
        let l1_bytes = if component.has(Right::CSpace) {
            LARGE_L1_BYTES
        } else {
            L1_BYTES
        };
        let cspace = stock
            .make(CapType::L1CNode, l1_bytes)
            .doing("make a CSpace")?;
        let l2 = stock
            .make(CapType::L2CNode, abi::cptr::L2_BYTES as u64)
            .doing("make a CSpace")?;
        cap::install_l2(cspace, l2, 0).doing("make a CSpace")?;
        let pml4 = stock.page(CapType::Pml4).doing("make an address space")?;
        let object = stock.page(CapType::Component).doing("make a component")?;
        let faults = stock.slot().doing("find a slot")?;
        let badge = Badge::new(id, Badge::LIFECYCLE);
        cap::component::make_entry(init_slot::COMPONENT, init_slot::CSPACE, faults, badge)
            .doing("make an entry")?;
        let flags = if component.no_preempt() {
            flags::NO_PREEMPT
        } else {
            0
        };
        cap::component::configure(object, cspace, pml4, program.entry, faults, id, flags)
            .doing("configure it")?;
        let mut grants = Grants::new(id, component, cspace)?;
        if component.has(Right::CSpace) {
            grants.fixed(slot::CSPACE, cspace)?;
        }
        Ok(Draft {
            id,
            component,
            object,
            space: Space::new(pml4),
            grants,
            region: None,
            memory: Vec::new(),
            texts: Vec::new(),
            calls: crate::space::filled(stock, &self.window, &[], PAGE_BYTES)?,
            device: None,
        })
    }

    /// The memory that the component manages itself: early, while there are large pieces.
    fn memory(&mut self, draft: &mut Draft<'a>) -> Result<()> {
        let Some(memory) = draft.component.memory else {
            return Ok(());
        };
        let piece = self.stock.aligned(memory.bytes, memory.align);
        let Rest { ram, base, bytes } = piece.doing("find memory of its own")?;
        draft.grants.grant("memory", ram, base, bytes)
    }

    /// Program, stacks, heap and the CBUF region's table.
    fn fill_space(&mut self, draft: &mut Draft<'a>) -> Result<()> {
        let (stock, space) = (&mut self.stock, &mut draft.space);
        let component = draft.component;
        let program = self
            .archive
            .component(&component.binary)
            .map_err(|e| Trouble::new(e.text()))?;
        for segment in program.segments() {
            let pages = segment.memory / PAGE_BYTES;
            let flags = MapFlags::from_bits_truncate(segment.flags.bits());
            let whole = segment.data.len() as u64 == segment.memory;
            let (frame, offset) = if !segment.flags.contains(Rights::WRITE) && whole {
                // Nobody can write it: all instances share the archive's pages.
                let (address, bytes) = (segment.address, segment.memory);
                draft.texts.push(Text { address, bytes });
                (init_slot::ARCHIVE, segment.offset)
            } else {
                let part = Part::new(
                    stock,
                    &self.window,
                    Kind::Static,
                    segment.address,
                    segment.data,
                    segment.memory,
                )?;
                draft.memory.push(part);
                (part.frame, 0)
            };
            space.map(stock, segment.address, frame, offset, pages, flags)?;
        }
        space.map(stock, CALLS as u64, draft.calls, 0, 1, READ_WRITE)?;
        let bytes = component.stack_bytes;
        let mut threads = self.image.threads_in(draft.id);
        while threads != 0 {
            let thread = u64::from(threads.trailing_zeros());
            threads &= threads - 1;
            let address = STACKS as u64 + (thread + 1) * STACK_STRIDE as u64 - bytes;
            let part = Part::new(stock, &self.window, Kind::Static, address, &[], bytes)?;
            draft.memory.push(part);
            let pages = bytes / PAGE_BYTES;
            space.map(stock, address, part.frame, 0, pages, READ_WRITE)?;
        }
        let bytes = component.heap_bytes;
        if bytes > 0 {
            let part = Part::new(stock, &self.window, Kind::Owned, HEAP as u64, &[], bytes)?;
            draft.memory.push(part);
            let pages = bytes / PAGE_BYTES;
            space.map(stock, HEAP as u64, part.frame, 0, pages, READ_WRITE)?;
        }
        if component.is_client() {
            draft.region = Some(space.table(stock, 0, CBUFS as u64)?);
        }
        if component.memory.is_some() || component.has(Right::CbufClients) {
            let own = space.table(stock, 0, OWN_SPACE as u64)?;
            draft.grants.grant("own-pdpt", own, 0, 0)?;
        }
        Ok(())
    }

    /// All threads of the image, configured, init's own first.
    fn threads(&mut self, drafts: &[Draft<'_>]) -> Result<Vec<Made>> {
        let mut made = Vec::from([Made {
            id: ThreadId(0),
            name: String::from("thread:init.0"),
            thread: init_slot::THREAD,
            priority: INIT_PRIORITY,
            argument: 0,
            home: ComponentId::INIT,
        }]);
        for draft in drafts {
            let name = &draft.component.name;
            for (n, thread) in draft.component.threads.iter().enumerate() {
                let object = self.stock.page(CapType::Thread).doing("make a thread")?;
                let id = ThreadId(thread.id);
                let argument = u32::try_from(thread.argument)
                    .map_err(|_| of(name)(Trouble::new("a thread's argument exceeds 32 bits")))?;
                cap::thread::configure(object, draft.object, id, argument)
                    .doing("configure a thread")
                    .map_err(of(name))?;
                made.push(Made {
                    id,
                    name: format!("thread:{name}.{n}"),
                    thread: object,
                    priority: thread.priority,
                    argument,
                    home: draft.id,
                });
            }
        }
        Ok(made)
    }

    /// Entries of what the component may invoke.
    fn imports(&mut self, draft: &mut Draft<'_>, objects: &[CPtr]) -> Result<()> {
        for edge in self.image.imports(draft.id) {
            let peer = ComponentId(edge.provider);
            let provider = match edge.provider.checked_sub(1) {
                None => init_slot::COMPONENT,
                Some(n) => *objects
                    .get(usize::from(n))
                    .ok_or_else(|| Trouble::new("it invokes a component that does not exist"))?,
            };
            let badge = Badge::new(draft.id, edge.number);
            draft
                .grants
                .import(&edge.interface, provider, peer, badge)?;
        }
        Ok(())
    }

    /// Capabilities at fixed places.
    fn rights(&mut self, draft: &mut Draft<'_>) -> Result<()> {
        if draft.component.has(Right::Console) {
            draft.grants.shared(slot::CONSOLE, init_slot::CONSOLE)?;
        }
        if draft.component.has(Right::Kernel) {
            // Taking memory is the right to `ram`.
            let rights = Rights::READ | Rights::WRITE;
            draft
                .grants
                .lesser(slot::KERNEL, init_slot::KERNEL, rights)?;
        }
        if draft.component.has(Right::Ram) {
            draft
                .grants
                .lesser(slot::RECLAIM, init_slot::KERNEL, Rights::EXECUTE)?;
        }
        if draft.component.has(Right::Clock) {
            let slot = self.stock.slot().doing("find a slot")?;
            let (first, count) = (u64::from(wall::PORTS.start), wall::PORTS.len() as u64);
            let (all, ports) = (init_slot::IO_PORTS, CapType::IoPorts);
            cap::retype(init_slot::CSPACE, slot, all, ports, 1, first, count)
                .doing("cut the clock's ports out")?;
            draft.grants.grant("clock", slot, first, count)?;
        }
        Ok(())
    }

    /// Devices to their drivers, and who waits for which interrupt to the scheduler.
    fn devices(&mut self, drafts: &mut [Draft<'_>]) -> Result<()> {
        if drafts.iter().all(|d| d.component.device.is_none()) {
            return Ok(());
        }
        let mut devices = Devices::new(self.boot)?;
        let mut bound = Vec::new();
        for draft in drafts.iter_mut() {
            let Some(device) = draft.component.device else {
                continue;
            };
            let (space, grants) = (&mut draft.space, &mut draft.grants);
            let given = devices
                .give(&mut self.stock, &self.window, space, grants, device)
                .map_err(of(&draft.component.name))?;
            draft.device = Some(given.at);
            bound.push((
                format!("irq-of:{}", draft.component.name),
                given.irq,
                given.bit,
                draft.id,
            ));
        }
        for draft in drafts
            .iter_mut()
            .filter(|d| d.component.has(Right::Threads))
        {
            for (name, irq, bit, id) in &bound {
                draft.grants.grant(name, *irq, *bit, u64::from(id.0))?;
            }
        }
        Ok(())
    }

    /// CBUF regions to the manager.
    fn clients(&mut self, drafts: &mut [Draft<'_>]) -> Result<()> {
        const DMA: u64 = 1 << 16;
        let mut clients = Vec::new();
        for draft in drafts.iter() {
            let component = draft.component;
            if let Some(region) = draft.region {
                let dma = if component.has(Right::Dma) { DMA } else { 0 };
                let id = u64::from(draft.id.0) | dma | component.heap_growth_pages() << 32;
                let pages = component.pool.map_or(0, |pool| pool.pages | pool.max << 32);
                let kept = u64::from(draft.id.0) | component.heap_kept_pages() << 32;
                clients.push((&component.name, draft.id, region, id, pages, kept));
            }
        }
        for draft in drafts
            .iter_mut()
            .filter(|d| d.component.has(Right::CbufClients))
        {
            for (name, id, region, base, pages, kept) in &clients {
                let grants = &mut draft.grants;
                grants.grant(&format!("client:{name}"), *region, *base, *pages)?;
                let peers = self.image.peers(*id);
                grants.grant(&format!("peers:{name}"), CPtr::NULL, *kept, peers)?;
            }
        }
        Ok(())
    }

    /// What the image says of pools to whom it lets choose how memory is shared.
    fn tell_pools(&mut self, drafts: &mut [Draft<'_>]) -> Result<()> {
        let chooses = |c: &Component| c.provides.iter().any(|p| p.interface == "policy");
        for draft in drafts.iter_mut().filter(|d| chooses(d.component)) {
            for (id, component) in self.image.ids() {
                let Some(pool) = component.pool else { continue };
                let name = &component.name;
                let priority = u64::from(self.image.priority_in(id));
                let base = u64::from(id.0) | priority << 32;
                let pages = pool.pages | pool.max << 32;
                let least = u64::from(id.0) | pool.least << 32;
                let reach = self.image.reached(id);
                let grants = &mut draft.grants;
                grants.grant(&format!("pool:{name}"), CPtr::NULL, base, pages)?;
                grants.grant(&format!("reach:{name}"), CPtr::NULL, least, reach)?;
            }
        }
        Ok(())
    }

    /// Everybody's counts to whom they are shown.
    fn observers(&mut self, drafts: &mut [Draft<'_>]) -> Result<()> {
        let all = core::iter::once(self.own_calls).chain(drafts.iter().map(|d| d.calls));
        let all: Vec<CPtr> = all.collect();
        for draft in drafts
            .iter_mut()
            .filter(|d| d.component.has(Right::Observe))
        {
            let (stock, window) = (&mut self.stock, &self.window);
            let (space, grants) = (&mut draft.space, &mut draft.grants);
            crate::observe::show(stock, window, self.image, &all, space, grants)
                .map_err(of(&draft.component.name))?;
        }
        Ok(())
    }

    /// Thread capabilities to the scheduler.
    fn tell_threads(&mut self, drafts: &mut [Draft<'_>], threads: &[Made]) -> Result<()> {
        for draft in drafts
            .iter_mut()
            .filter(|d| d.component.has(Right::Threads))
        {
            for made in threads {
                let bytes = u64::from(made.priority) | u64::from(made.home.0) << 32;
                let (thread, id) = (made.thread, u64::from(made.id.0));
                draft.grants.grant(&made.name, thread, id, bytes)?;
            }
        }
        Ok(())
    }

    /// What the image and the kernel command line tell each component. A word that means nothing
    /// is named on the console and left out.
    fn arguments(&mut self, drafts: &mut [Draft<'_>]) -> Result<()> {
        for draft in drafts.iter_mut() {
            draft.grants.arguments(&draft.component.arguments)?;
        }
        let len = (self.boot.command_line_len as usize).min(self.boot.command_line.len());
        let line = core::str::from_utf8(&self.boot.command_line[..len]).unwrap_or("");
        for word in words(&self.image.arguments).chain(words(line)) {
            let (component, text) = match word {
                Word::Setting { component, text } => (component, text),
                Word::Other(text) => {
                    rt::println!("'{text}' on the command line is not COMPONENT.KEY=VALUE");
                    continue;
                }
            };
            match drafts.iter_mut().find(|d| d.component.name == component) {
                Some(draft) => draft.grants.arguments(text).map_err(of(component))?,
                None if component == abi::start::KERNEL => {}
                None => rt::println!(
                    "the command line sets {component}.{text}, but this image has no {component}"
                ),
            }
        }
        Ok(())
    }

    /// Remaining memory to its manager and to nobody else, start information to everyone.
    fn finish(&mut self, mut drafts: Vec<Draft<'a>>, threads: &[Made]) -> Result<Vec<Built<'a>>> {
        let (epoch_tsc, epoch_seconds) = wall::read();
        let mut pages = Vec::new();
        for draft in &mut drafts {
            let place = self.entrance(draft).map_err(of(&draft.component.name))?;
            pages.push(place);
        }
        if let Some(draft) = drafts.iter_mut().find(|d| d.component.has(Right::Ram)) {
            let rest = self
                .stock
                .rest(draft.grants.room())
                .doing("hand memory over")?;
            for piece in &rest {
                draft
                    .grants
                    .grant("ram", piece.ram, piece.base, piece.bytes)?;
            }
            self.stock
                .let_go(self.boot, &rest)
                .doing("let go of memory")?;
        }
        let mut built = Vec::new();
        for (mut draft, (page, lifecycle)) in drafts.into_iter().zip(pages) {
            draft.grants.info.tsc_hz = self.boot.tsc_hz;
            draft.grants.info.epoch_tsc = epoch_tsc;
            draft.grants.info.epoch_seconds = epoch_seconds;
            self.window.fill(page, draft.grants.bytes(), PAGE_BYTES)?;
            let own = threads.iter().filter(|t| t.home == draft.id);
            built.push(Built {
                id: draft.id,
                component: draft.component,
                object: draft.object,
                lifecycle,
                device: draft.device,
                threads: own.map(|t| (t.thread, t.id, t.argument)).collect(),
                memory: draft.memory,
                texts: draft.texts,
                info_page: page,
                info: Vec::from(draft.grants.bytes()),
            });
        }
        Ok(built)
    }

    /// The page for its start information, mapped, and the Entry with which it is started.
    fn entrance(&mut self, draft: &mut Draft<'_>) -> Result<(CPtr, CPtr)> {
        let stock = &mut self.stock;
        let page = stock.page(CapType::Frame).doing("find memory for it")?;
        let (address, flags) = (START_INFO as u64, MapFlags::READ);
        draft.space.map(stock, address, page, 0, 1, flags)?;
        let lifecycle = stock.slot().doing("find a slot")?;
        let badge = Badge::new(ComponentId::INIT, Badge::LIFECYCLE);
        cap::component::make_entry(draft.object, init_slot::CSPACE, lifecycle, badge)
            .doing("make an entry")?;
        Ok((page, lifecycle))
    }
}
