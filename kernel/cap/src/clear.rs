//! Filling memory with zero bytes, in pieces: an L1CNode, or many objects made at once, are more
//! than one call may clear.
//!
//! How far a large retype has come is kept for one region at a time. It stays true while nothing
//! is made in the region, and whatever is made there ends it ([`Caps::made_in`]).

use crate::{Caps, Platform};
use abi::Error;

/// Bytes that one call clears at most.
pub const PIECE: u64 = 64 << 10;

/// A region that is being cleared: zero from `base` to `upto`. Empty when there is none.
pub(crate) struct Clearing {
    base: u64,
    upto: u64,
    end: u64,
}

impl Clearing {
    pub(crate) const NONE: Clearing = Clearing {
        base: 0,
        upto: 0,
        end: 0,
    };
}

impl<P: Platform> Caps<P> {
    /// Clears memory in which there is nothing, at once or a piece of it. What another began is
    /// finished first, so that two who take turns cannot undo each other's work for ever.
    ///
    /// Errors: `Again`.
    pub(crate) fn clear(&mut self, base: u64, bytes: u64) -> Result<(), Error> {
        if bytes <= PIECE {
            self.platform.zero(base, bytes);
            return Ok(());
        }
        let end = base.saturating_add(bytes);
        let now = &mut self.clearing;
        if now.upto == now.end && (now.base, now.end) != (base, end) {
            *now = Clearing {
                base,
                upto: base,
                end,
            };
        }
        let piece = (now.end - now.upto).min(PIECE);
        self.platform.zero(now.upto, piece);
        now.upto += piece;
        if (now.base, now.upto) == (base, end) {
            Ok(())
        } else {
            Err(Error::Again)
        }
    }

    /// Something was made in `[base, end)`.
    #[inline(always)]
    pub(crate) fn made_in(&mut self, base: u64, end: u64) {
        if base < self.clearing.end && self.clearing.base < end {
            self.clearing = Clearing::NONE;
        }
    }
}
