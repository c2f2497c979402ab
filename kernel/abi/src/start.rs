//! What a component finds at [`crate::layout::START_INFO`] when it first runs, and the CSpace
//! places that are fixed.

use crate::{CPtr, ComponentId};

/// Fixed capability addresses. L1 slot 0 of each component's CSpace is the L2 CNode that `init`
/// fills; what an image description grants comes after these, at addresses from [`StartInfo`].
pub mod slot {
    use crate::CPtr;
    /// The component's own L1CNode (only where the description grants `cspace`).
    pub const CSPACE: CPtr = CPtr(1);
    pub const CONSOLE: CPtr = CPtr(2);
    pub const KERNEL: CPtr = CPtr(3);
    /// The core's Kernel capability for RECLAIM and CLAIM alone (where the description grants `ram`).
    pub const RECLAIM: CPtr = CPtr(4);
    /// First slot that `init` fills with imports and granted objects.
    pub const FIRST_GRANTED: CPtr = CPtr(16);
}

/// In place of a component's name in the kernel command line: the kernel itself.
pub const KERNEL: &str = "kernel";
/// The word of the kernel command line by which the kernel looks at everything before SHUTDOWN ends
/// the machine; it then says [`CHECKED`], or that its state does not hold together.
pub const CHECK_AT_END: &str = "kernel.check=end";
pub const CHECKED: &str = "the kernel's state holds together";

pub const MAGIC: u64 = u64::from_le_bytes(*b"cistern1");
pub const NAME_BYTES: usize = 24;
pub const MAX_IMPORTS: usize = 24;
pub const MAX_GRANTS: usize = 46;
pub const ARGUMENT_BYTES: usize = 1024;

/// A name in a fixed field, padded with zero bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct Name(pub [u8; NAME_BYTES]);

impl Name {
    pub const EMPTY: Self = Self([0; NAME_BYTES]);

    /// `None` when it does not fit.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; NAME_BYTES];
        bytes
            .get_mut(..text.len())?
            .copy_from_slice(text.as_bytes());
        Some(Self(bytes))
    }
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(NAME_BYTES);
        core::str::from_utf8(&self.0[..end]).unwrap_or("?")
    }
}

/// An interface this component may invoke.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Import {
    /// The interface's name.
    pub interface: Name,
    pub entry: CPtr,
    /// Who provides it: the receiver to name in `cbuf_send`.
    pub peer: ComponentId,
    pub reserved: u16,
}

/// Something else the description grants, by a name the component knows.
///
/// | name | `cap` | `base` | `bytes` |
/// |---|---|---|---|
/// | `bar0` to `bar5` | – | address where it is mapped; the interrupt table's pages are left out | size |
/// | `pci-config` | – | address of the function's 4 KiB configuration page, read-only | 4096 |
/// | `irq` | Irq | event bit | – |
/// | `irq-of:NAME` | Irq of component NAME, for the scheduler | event bit | component id |
/// | `ram` | Ram | physical address | size |
/// | `ports` | IoPorts | first port | number |
/// | `client:NAME` | Pdpt of component NAME's CBUF region | component id, bit 16: right `dma`, pages that its heap may grow by << 32 | pool in pages, its maximum << 32 |
/// | `peers:NAME` | – | component id | components it shares an edge with, as a bit set |
/// | `pool:NAME` | – | component id, highest priority of a thread that comes to it << 32 | pool in pages, its maximum << 32 |
/// | `reach:NAME` | – | component id | components that its threads come to, itself included, as a bit set |
/// | `observe` | – | address of the [`Directory`], read-only | components, `init` among them |
/// | `memory` | Ram, the component's own | physical address | size |
/// | `own-pdpt` | Pdpt of the component's PML4 slot 2 ([`crate::layout::OWN_SPACE`]) | – | – |
/// | `thread:NAME.N` | Nth Thread of component NAME, for the scheduler | thread id | priority (low 32 bits), component id (high) |
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Grant {
    pub name: Name,
    pub cap: CPtr,
    pub reserved: u32,
    pub base: u64,
    pub bytes: u64,
}

/// The start information page. Written by `init`, read-only to the component.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct StartInfo {
    pub magic: u64,
    pub id: ComponentId,
    pub imports_len: u16,
    pub grants_len: u16,
    pub arguments_len: u16,
    pub name: Name,
    /// Time-stamp counter ticks in a second.
    pub tsc_hz: u64,
    /// Time-stamp and wall clock (seconds since 1970) read at the same moment.
    pub epoch_tsc: u64,
    pub epoch_seconds: u64,
    pub heap_bytes: u64,
    /// Mapped bytes of each stack.
    pub stack_bytes: u64,
    /// Pool at start, in pages; 0 where the component has no CBUF region.
    pub pool_pages: u64,
    pub imports: [Import; MAX_IMPORTS],
    pub grants: [Grant; MAX_GRANTS],
    pub arguments: [u8; ARGUMENT_BYTES],
}

const _: () = assert!(size_of::<StartInfo>() <= crate::layout::PAGE);

/// Who is in the image and who may invoke whom, for whoever has the right `observe`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Directory {
    pub magic: u64,
    /// Components, `init` among them: ids below this.
    pub len: u64,
    pub names: [Name; ComponentId::MAX],
    /// Whom each may invoke, as bit sets.
    pub invokes: [u64; ComponentId::MAX],
}

const _: () = assert!(size_of::<Directory>() <= crate::layout::PAGE);

/// What the kernel tells `init`, in the page at [`crate::layout::START_INFO`] of `init`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BootInfo {
    pub magic: u64,
    pub tsc_hz: u64,
    /// The boot archive: bytes at [`crate::layout::INIT_ARCHIVE`].
    pub archive_bytes: u64,
    /// Physical address of the ACPI RSDP, or 0.
    pub rsdp: u64,
    /// `Ram` capabilities: `ram_first`, and the `ram_len - 1` slots after it.
    pub ram_first: CPtr,
    pub ram_len: u32,
    /// One DevFrame over everything that is not RAM, below 4 GiB and above RAM's end.
    pub device_first: CPtr,
    pub device_len: u32,
    /// First slot that the kernel left empty.
    pub free_first: CPtr,
    pub command_line_len: u32,
    pub command_line: [u8; 2048],
}

const _: () = assert!(size_of::<BootInfo>() <= crate::layout::PAGE);

/// Fixed capability addresses of `init`, filled by the kernel.
pub mod init_slot {
    use crate::CPtr;
    /// L2 CNodes that the kernel installs in `init`'s CSpace, at indices from 0 on.
    pub const L2_NODES: u32 = 16;
    pub const CSPACE: CPtr = CPtr(1);
    pub const CONSOLE: CPtr = CPtr(2);
    pub const KERNEL: CPtr = CPtr(3);
    pub const IO_PORTS: CPtr = CPtr(4);
    pub const PML4: CPtr = CPtr(5);
    pub const COMPONENT: CPtr = CPtr(6);
    pub const THREAD: CPtr = CPtr(7);
    /// Frame of the boot archive.
    pub const ARCHIVE: CPtr = CPtr(8);
}
