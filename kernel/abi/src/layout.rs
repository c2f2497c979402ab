//! Fixed virtual addresses of a component. PML4 slot 0 belongs to `init`, slot 1 to the CBUF
//! manager (which holds that PDPT and nothing else of the component), slot 2 to the component
//! itself where it manages memory, the upper half to the kernel.

pub const PAGE: usize = 4096;

/// Text, read-only data and data of a component start here (its linker script).
pub const IMAGE: usize = 0x0040_0000;
/// The [`crate::start::StartInfo`] page, read-only.
pub const START_INFO: usize = 0x1000_0000;
/// How often each component invoked this one: [`CALLERS`] words of 64 bits, by the invoker's id,
/// counted by the component's own runtime in a page of its own. They outlive the component.
pub const CALLS: usize = START_INFO + PAGE;
/// Words that the runtime can reach, one for each low byte of a badge.
pub const CALLERS: usize = 256;
/// In a component with the right `observe` only, read-only: the
/// [`Directory`](crate::start::Directory), and at `OBSERVED + c * PAGE` the page that component
/// `c` has at [`CALLS`].
pub const DIRECTORY: usize = CALLS + PAGE;
pub const OBSERVED: usize = START_INFO + 0x4_0000;
/// Stacks: thread `t` has `[STACKS + t * STACK_STRIDE, + STACK_STRIDE)`, its top mapped as far
/// down as the description says, at least one page below it never mapped.
pub const STACKS: usize = 0x2000_0000;
/// A power of two, so that the runtime finds a thread's own words by masking `rsp`.
pub const STACK_STRIDE: usize = 0x4_0000;
/// A component with a fault handler of its own leaves so many bytes at the top of each stack place
/// to the handler; its threads' stacks begin below.
pub const FAULT_STACK: usize = 8192;
/// The same where the handler is the runtime's, which reports the fault and does nothing else.
pub const REPORT_STACK: usize = 512;
/// Private memory for the component's allocator, sized by its description.
pub const HEAP: usize = 0x4000_0000;
/// Device memory that the description grants, in the order granted, each on a page boundary
/// (addresses are in the start information).
pub const DEVICES: usize = 0x30_0000_0000;

/// CBUF region: the whole of PML4 slot 1.
pub const CBUFS: usize = 0x80_0000_0000;
/// Trie leaves, read-write: the one with ids from `n * LEAF_RECORDS` is the page at
/// `TRIE_LEAVES + n * PAGE`, where the root says that there is one.
pub const TRIE_LEAVES: usize = CBUFS;
/// Trie root: [`TRIE_ROOT_ENTRIES`] 32-bit words (all ones: the leaf exists; leaf 0
/// always does), read-only to the client.
pub const TRIE_ROOT: usize = TRIE_LEAVES + TRIE_ROOT_ENTRIES * PAGE;
pub const TRIE_ROOT_ENTRIES: usize = 4096;
/// The ring through which the manager hands over collected buffers: one page, read-write.
pub const RING: usize = TRIE_ROOT + 0x10_0000;
/// What each thread freed last, by thread and size: [`SHELF_BYTES`], read-write.
pub const SHELVES: usize = RING + 0x1_0000;
pub const SHELF_BYTES: usize = 0x8000;
/// Where the manager maps the buffers themselves.
pub const BUFFERS: usize = CBUFS + 0x4000_0000;
/// Where the manager maps what the component owns besides, from here to the end of the region.
pub const OWNED: usize = CBUFS + OWNED_BYTES;
pub const OWNED_BYTES: usize = 1 << 38;
/// Records in a leaf page (32 bytes each).
pub const LEAF_RECORDS: usize = 128;
/// CBUF ids are below this.
pub const MAX_CBUFS: usize = TRIE_ROOT_ENTRIES * LEAF_RECORDS;

/// PML4 slot 2: laid out by the component itself, through the table that it is granted as `own-pdpt`
/// with memory of its own or the right `cbuf-clients`.
pub const OWN_SPACE: usize = 0x100_0000_0000;
/// What one PML4 slot covers.
pub const OWN_SPACE_BYTES: usize = 1 << 39;

/// In the manager only: client `c`'s control area (root, ring, leaves: the first
/// [`CONTROL_BYTES`] of its CBUF region) is mapped at `MANAGER_CONTROL + c * CONTROL_BYTES`.
pub const MANAGER_CONTROL: usize = OWN_SPACE;
pub const CONTROL_BYTES: usize = 0x200_0000;
/// In the manager only: a window through which it clears buffers before they change owners. In
/// the same PML4 slot as the control areas, the manager's only one besides `init`'s.
pub const MANAGER_WINDOW: usize = 0x140_0000_0000;

/// Where the kernel maps the boot archive for `init`, read-only.
pub const INIT_ARCHIVE: usize = 0x8_0000_0000;
/// First address that is not a component's.
pub const USER_END: usize = 0x8000_0000_0000;
