//! What the manager needs of the machine: frames, mappings, and the pages it shares with each
//! client. `main` makes it from capability invocations, tests from plain memory.

use abi::{ComponentId, Error};
use libcbuf::meta::Record;
use libcbuf::primitive::AtomicU32;
use libcbuf::ring::Ring;
use libcbuf::shelf::Shelves;

/// Where the manager finds the memory that it shares with one client.
#[derive(Clone, Copy, Debug)]
pub struct ControlMemory {
    pub root: *const AtomicU32,
    pub ring: *const Ring,
    /// The record of id 0, whether it exists or not.
    pub leaves: *const Record,
    pub shelves: *const Shelves,
}

/// # Safety
/// What [`Machine::make_control`] and [`Machine::add_leaf`] make stays valid for the machine's
/// life, for atomic access by the manager, and is zero at first.
pub unsafe trait Machine {
    /// Memory of one buffer.
    type Frame;
    /// A frame mapped in a client.
    type Mapping;

    /// Makes a frame of the run of 2^`order` pages at page number `page`, cleared.
    fn make_frame(&mut self, page: u64, order: u32) -> Result<Self::Frame, Error>;
    /// Ends a frame that is mapped nowhere.
    fn destroy_frame(&mut self, frame: Self::Frame);
    /// Virtual page number at which every client sees page number `page`; never 0.
    fn place(&self, page: u64) -> u64;
    /// Maps a frame at its place in a client.
    fn map(
        &mut self,
        client: ComponentId,
        frame: &Self::Frame,
        page: u64,
        order: u32,
        writable: bool,
    ) -> Result<Self::Mapping, Error>;
    /// Maps a frame of 2^`order` pages, writable, at virtual page number `place` of the client's part
    /// for what it owns; `place` is a multiple of that.
    fn map_own(
        &mut self,
        client: ComponentId,
        frame: &Self::Frame,
        place: u64,
        order: u32,
    ) -> Result<Self::Mapping, Error>;
    /// Gives or takes the client's right to write through a mapping of 2^`order` pages.
    fn protect(
        &mut self,
        client: ComponentId,
        mapping: &Self::Mapping,
        order: u32,
        writable: bool,
    ) -> Result<(), Error>;
    fn unmap(&mut self, client: ComponentId, mapping: Self::Mapping);

    /// Makes and maps a client's root (read-only there), ring and shelves; once a client.
    fn make_control(&mut self, client: ComponentId) -> Result<ControlMemory, Error>;
    /// Makes and maps leaf number `leaf` of a client, once: the records from id
    /// `leaf * LEAF_RECORDS`.
    fn add_leaf(&mut self, client: ComponentId, leaf: usize) -> Result<(), Error>;

    /// Has every processor pass a full barrier before it answers: the costly half of the one
    /// whose other half is [`libcbuf::primitive::light_barrier`].
    fn barrier(&self);

    /// Takes memory that nobody holds any more, for frames: page number and pages.
    fn reclaim(&mut self) -> Option<(u64, u64)>;

    /// Time-stamp.
    fn ticks(&self) -> u64;
}
