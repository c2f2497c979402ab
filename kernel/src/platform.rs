//! What the capability system asks of the machine, and the part of a core's state that must
//! change when an object goes: who runs where, and the configured objects.

use crate::arch::features::Features;
use crate::arch::space::{self, Space, TAGS};
use crate::memory::{FIRST_KERNEL_ENTRY, Phys};
use crate::object::component::Life;
use crate::object::registry::Registry;
use crate::object::thread::{FRAMES, Frame, Waiting};
use crate::object::{Component, Thread};
use abi::{CapType, ComponentId, ThreadId};
use cap::{Cap, Platform};
use core::ptr;

const TABLE_ENTRIES: usize = 512;
const KERNEL_ENTRIES: usize = TABLE_ENTRIES - FIRST_KERNEL_ENTRY;

/// Configured components and threads that a core takes.
const COMPONENTS: usize = ComponentId::MAX;
const THREADS: usize = ThreadId::MAX;
/// What it costs to look at all of them, and at all threads' frames, in words looked at.
const EACH_COMPONENT: u32 = 2 * COMPONENTS as u32;
const EACH_FRAME: u32 = (THREADS * (FRAMES + 4)) as u32;

/// What it costs to fill a `T` with zeros.
const fn words<T>() -> u32 {
    (size_of::<T>() / size_of::<u64>()) as u32
}

/// A core's running state. The fields that an invocation uses come first.
#[repr(C)]
pub struct Machine {
    /// The component that the current thread runs in; never null, and its address space is loaded.
    pub component: *mut Component,
    /// The current thread's invocation stack: next free frame, first, and past the last that
    /// invocations may use.
    pub frame_top: *mut Frame,
    pub frame_base: *mut Frame,
    pub frame_end: *mut Frame,
    /// Null when the current thread's memory was taken away in this very system call.
    pub thread: *mut Thread,
    /// Stands for components that are gone.
    pub tombstone: Component,
    /// The first component, whose fault ends the machine.
    pub init: *mut Component,
    pub components: Registry<Component, COMPONENTS>,
    pub threads: Registry<Thread, THREADS>,
    pub event_thread: *mut Thread,
    /// Event bits that have an Irq capability.
    pub irqs: u64,
    /// The kernel's own address space: nothing below the upper half.
    pub kernel_space: Space,
    features: Option<Features>,
    /// Space tags in use, a bit each; tag 0 stays the kernel's.
    tags: [u64; TAGS / 64],
    /// Two components have, or had, the same address space, under two tags.
    shared_spaces: bool,
}

impl Machine {
    pub const fn new() -> Machine {
        Machine {
            component: ptr::null_mut(),
            frame_top: ptr::null_mut(),
            frame_base: ptr::null_mut(),
            frame_end: ptr::null_mut(),
            thread: ptr::null_mut(),
            tombstone: Component::tombstone(),
            init: ptr::null_mut(),
            components: Registry::new(),
            threads: Registry::new(),
            event_thread: ptr::null_mut(),
            irqs: 0,
            kernel_space: Space::untagged(Phys(0)),
            features: None,
            tags: [0; TAGS / 64],
            shared_spaces: false,
        }
    }

    /// At boot, before any object exists: the kernel's own PML4 is `kernel_space`, and loaded.
    pub fn setup(&mut self, features: Features, kernel_space: Space) {
        self.features = Some(features);
        self.kernel_space = kernel_space;
        self.tombstone.space = kernel_space;
        self.component = &raw mut self.tombstone;
        if let Some(first) = self.tags.first_mut() {
            *first = 1;
        }
    }

    fn tagged(&self) -> bool {
        self.features.is_some_and(|features| features.pcid)
    }

    /// What a component over `pml4` loads into CR3, with the tag it has to give back, if any.
    pub fn new_space(&mut self, pml4: Phys) -> (Space, u16) {
        let mut shared = false;
        self.each_component(|_, component| {
            // SAFETY: the registry holds live components.
            shared |= unsafe { (*component).space.pml4() } == pml4;
        });
        self.shared_spaces |= shared;
        if self.tagged() {
            for (word, bits) in self.tags.iter_mut().enumerate() {
                let free = (!*bits).trailing_zeros();
                if free < u64::BITS {
                    *bits |= 1 << free;
                    let tag = (word * 64) as u16 + free as u16;
                    space::flush(true);
                    return (Space::tagged(pml4, tag), tag);
                }
            }
        }
        (Space::untagged(pml4), 0)
    }

    fn give_tag(&mut self, tag: u16) {
        if tag != 0
            && let Some(bits) = self.tags.get_mut(usize::from(tag) / 64)
        {
            *bits &= !(1 << (tag % 64));
        }
    }

    /// Every configured thread of this core.
    pub fn each_thread(&mut self, mut action: impl FnMut(&mut Self, *mut Thread)) {
        for place in 0..THREADS {
            let thread = self.threads.get(place);
            if !thread.is_null() {
                action(self, thread);
            }
        }
    }

    fn each_component(&mut self, mut action: impl FnMut(&mut Self, *mut Component)) {
        for place in 0..COMPONENTS {
            let component = self.components.get(place);
            if !component.is_null() {
                action(self, component);
            }
        }
    }

    /// The used part of a thread's invocation stack, as first frame and number of frames.
    fn used_frames(&self, thread: *mut Thread) -> (*mut Frame, usize) {
        // SAFETY: the thread is live, and its top lies in its own array of frames.
        unsafe {
            let base: *mut Frame = (&raw mut (*thread).frames).cast();
            let top = if thread == self.thread {
                self.frame_top
            } else {
                (*thread).top
            };
            (base, top.offset_from_unsigned(base))
        }
    }

    pub fn frames(&self, thread: *mut Thread) -> &[Frame] {
        let (base, count) = self.used_frames(thread);
        // SAFETY: the core wrote these frames, and nobody changes them while it is borrowed.
        unsafe { core::slice::from_raw_parts(base, count) }
    }

    fn frames_mut(&mut self, thread: *mut Thread) -> &mut [Frame] {
        let (base, count) = self.used_frames(thread);
        // SAFETY: as in `frames`.
        unsafe { core::slice::from_raw_parts_mut(base, count) }
    }

    /// The component that a thread runs or waits in.
    pub fn place_of(&self, thread: *mut Thread) -> *mut Component {
        if thread == self.thread {
            self.component
        } else {
            // SAFETY: the thread is live.
            unsafe { (*thread).component }
        }
    }

    /// Is any thread in `component`, or will one return to it?
    pub fn in_use(&mut self, component: *mut Component) -> bool {
        let mut used = false;
        self.each_thread(|machine, thread| {
            // SAFETY: the registry holds live threads: they leave it in `forget_thread`.
            let ended = unsafe { (*thread).waiting } == Waiting::Exited;
            let frames = machine.frames(thread);
            used |= !ended
                && (machine.place_of(thread) == component
                    || frames.iter().any(|frame| frame.component == component));
        });
        used
    }

    /// Like all of these: answers how many words it looked at, at most.
    fn forget_component(&mut self, gone: *mut Component) -> u32 {
        if !self.components.remove(gone) {
            // Never configured: nobody knows it.
            return COMPONENTS as u32;
        }
        let tombstone = &raw mut self.tombstone;
        self.each_thread(|machine, thread| {
            for frame in machine.frames_mut(thread) {
                if frame.component == gone {
                    frame.component = tombstone;
                }
            }
            // SAFETY: the thread is live.
            unsafe {
                if (*thread).component == gone {
                    (*thread).component = tombstone;
                }
                // What it was interrupted in is nobody else's to ask for.
                if (*thread).own_fault.component == gone {
                    (*thread).own_fault.component = ptr::null_mut();
                }
            }
        });
        if self.component == gone {
            self.component = tombstone;
            // SAFETY: the kernel's own space has its half and never goes.
            unsafe { self.kernel_space.load() };
        }
        if self.init == gone {
            self.init = ptr::null_mut();
        }
        // SAFETY: the component's memory is still an object's: Entries that are deleted only later
        // find that it is not alive, and look at nothing else of it.
        let tag = unsafe {
            let tag = (*gone).tag;
            Component::wipe(gone);
            tag
        };
        self.give_tag(tag);
        COMPONENTS as u32 + EACH_FRAME
    }

    fn forget_thread(&mut self, gone: *mut Thread) -> u32 {
        if self.thread == gone {
            self.thread = ptr::null_mut();
        }
        if self.event_thread == gone {
            self.event_thread = ptr::null_mut();
        }
        if !self.threads.remove(gone) {
            // Never configured: all zero.
            return THREADS as u32;
        }
        // It may have been interrupted in a component other than its owner's, whose registers are
        // not for who gets the memory.
        // SAFETY: the thread's memory is still an object's, and nothing points to it any more.
        unsafe { ptr::write_bytes(gone, 0, 1) };
        THREADS as u32 + words::<Thread>()
    }

    fn forget_cspace(&mut self, gone: Phys) -> u32 {
        self.each_component(|_, component| {
            // SAFETY: the registry holds live components: they leave it in
            // `forget_component`.
            let component = unsafe { &mut *component };
            if component.l1 == gone {
                (component.cspace, component.cspace_slots) = (0, 0);
                component.life = Life::Dead;
            }
        });
        EACH_COMPONENT
    }

    fn forget_space(&mut self, gone: Phys) -> u32 {
        self.each_component(|machine, pointer| {
            // SAFETY: the registry holds live components: they leave it in
            // `forget_component`.
            let component = unsafe { &mut *pointer };
            if component.space.pml4() == gone {
                component.space = machine.kernel_space;
                component.life = Life::Dead;
                let tag = core::mem::take(&mut component.tag);
                machine.give_tag(tag);
                if machine.component == pointer {
                    // SAFETY: the kernel's own space has its half and never goes.
                    unsafe { machine.kernel_space.load() };
                }
            }
        });
        // SAFETY: a table of the page's entries that is loaded nowhere any more; the kernel's half
        // is the kernel's to write.
        unsafe {
            let entries: *mut u64 = gone.pointer();
            ptr::write_bytes(entries.add(FIRST_KERNEL_ENTRY), 0, KERNEL_ENTRIES);
        }
        EACH_COMPONENT + KERNEL_ENTRIES as u32
    }
}

// SAFETY: the direct map shows all RAM at a fixed place; CNodes and page tables are written by
// the capability system alone, and components' slots lie before what the kernel writes.
unsafe impl Platform for Machine {
    fn virt(&self, base: u64) -> *mut u8 {
        Phys(base).pointer()
    }

    fn flush_tlb(&mut self) {
        space::flush(self.tagged());
    }

    fn flush_page(&mut self, pml4: u64, address: u64) {
        // SAFETY: the current component is live.
        let loaded = unsafe { (*self.component).space.pml4() } == Phys(pml4);
        match (self.tagged(), loaded) {
            // Nothing is cached but of the space that is loaded.
            (false, false) => {}
            (false, true) => space::flush_page(address),
            // What is cached of the loaded space has its tag, if no other component uses it too.
            (true, true) if !self.shared_spaces => space::flush_page(address),
            (true, _) => space::flush(true),
        }
    }

    fn zero(&mut self, base: u64, bytes: u64) {
        // SAFETY: memory that is being retyped belongs to no object yet, and lies in RAM.
        unsafe { ptr::write_bytes(Phys(base).pointer::<u8>(), 0, bytes as usize) }
    }

    fn created(&mut self, cap: &Cap) {
        if cap.ty == CapType::Pml4 {
            let kernel: *const u64 = self.kernel_space.pml4().pointer();
            let new: *mut u64 = Phys(cap.base).pointer();
            // SAFETY: both are page tables of 512 entries, and not the same one.
            unsafe {
                ptr::copy_nonoverlapping(
                    kernel.add(FIRST_KERNEL_ENTRY),
                    new.add(FIRST_KERNEL_ENTRY),
                    KERNEL_ENTRIES,
                );
            }
        }
    }

    fn destroyed(&mut self, cap: &Cap) -> u32 {
        match cap.ty {
            CapType::Component => self.forget_component(Phys(cap.base).pointer()),
            CapType::Thread => self.forget_thread(Phys(cap.base).pointer()),
            CapType::L1CNode => self.forget_cspace(Phys(cap.base)),
            CapType::Pml4 => self.forget_space(Phys(cap.base)),
            CapType::Irq => {
                self.irqs &= !(1u64.checked_shl(cap.data[0] as u32).unwrap_or(0));
                0
            }
            _ => 0,
        }
    }

    fn has_gib_pages(&self) -> bool {
        self.features.is_some_and(|features| features.huge_pages)
    }
}
