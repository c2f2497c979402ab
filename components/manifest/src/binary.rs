//! The binary form that travels in the boot archive.

use crate::{Edge, Image, Right, limits};
use abi::{ComponentId, ThreadId};
use alloc::vec::Vec;

/// Why bytes are no image description.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecodeError {
    /// The bytes end early, go on too long, or hold no such value.
    Malformed,
    /// A number in it exceeds what the image has or a limit allows.
    OutOfRange,
}

impl DecodeError {
    /// One sentence for a person.
    pub const fn text(self) -> &'static str {
        match self {
            DecodeError::Malformed => "the image description in the boot archive is malformed",
            DecodeError::OutOfRange => {
                "the image description in the boot archive has a number out of range"
            }
        }
    }
}

impl core::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for DecodeError {}

impl Image {
    pub fn encode(&self) -> Vec<u8> {
        // A vector grows as needed and every field has a serialised form: nothing can fail.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads what [`Image::encode`] wrote. Whatever is accepted can be used without further
    /// range checks.
    pub fn decode(bytes: &[u8]) -> Result<Image, DecodeError> {
        let (image, rest) =
            postcard::take_from_bytes::<Image>(bytes).map_err(|_| DecodeError::Malformed)?;
        if !rest.is_empty() {
            return Err(DecodeError::Malformed);
        }
        if image.in_range() {
            Ok(image)
        } else {
            Err(DecodeError::OutOfRange)
        }
    }

    fn in_range(&self) -> bool {
        let count = self.components.len();
        if count >= ComponentId::MAX || self.start_order.len() != count {
            return false;
        }
        let edges = |edges: &[Edge]| {
            edges.len() <= limits::MAX_IMPORTS
                && edges.iter().all(|e| {
                    usize::from(e.provider) <= count && e.interface.len() <= limits::NAME_BYTES
                })
        };
        // Each component once, and nothing before what it invokes (so there is no cycle).
        let mut started = 1u64;
        for id in &self.start_order {
            let known = (1..=count).contains(&usize::from(*id)) && started >> id & 1 == 0;
            let ready = |e: &Edge| started >> (e.provider & 63) & 1 == 1;
            if !known || !self.imports(ComponentId(*id)).iter().all(ready) {
                return false;
            }
            started |= 1 << id;
        }
        let mut next_thread = 1;
        for component in &self.components {
            for thread in &component.threads {
                if thread.id != next_thread || usize::from(thread.id) >= ThreadId::MAX {
                    return false;
                }
                next_thread += 1;
            }
            let names = component.name.len() <= limits::COMPONENT_NAME_BYTES
                && component.arguments.len() <= limits::ARGUMENT_BYTES;
            let (start, max) = (component.heap_bytes, component.heap_max_bytes);
            let sizes = limits::heap_ok(start)
                && (start == max || limits::heap_range_ok(start, max))
                && limits::heap_kept_ok(start, component.heap_kept_bytes, max)
                && limits::stack_ok(component.stack_bytes)
                && component.pool.is_none_or(|pool| limits::pool_ok(&pool))
                && component
                    .memory
                    .is_none_or(|m| limits::memory_ok(m.bytes, m.align))
                && component.rights.len() <= Right::ALL.len()
                && component.provides.len() <= limits::MAX_IMPORTS;
            if component.restart && component.cannot_restart().is_some() {
                return false;
            }
            if !names || !sizes || !edges(&component.imports) {
                return false;
            }
        }
        edges(&self.init_imports)
    }
}
