//! The account of memory that is never collected, one buffer with an id for each piece of it: what
//! `init` made before anybody ran (static and owned, told by [`Manager::register`]) and what
//! components own besides ([`crate::owned`]). Source: CBUFs, section 2.1.
//!
//! None of it is ever mapped in another component: to whoever receives, seals, relinquishes or asks
//! for its physical address, such an id names no buffer.

use crate::account::{Given, Kind, Listed};
use crate::machine::Machine;
use crate::manager::Manager;
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use libcbuf::meta::CbufId;

/// A power-of-two run of pages in a region.
pub(crate) struct Piece<F, T> {
    /// Number of its first page.
    pub page: u64,
    pub order: u32,
    pub frame: F,
    pub mapping: T,
}

/// How far an owned buffer is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Made by `init`, which alone can end it.
    Registered,
    /// Gets its pieces, one after the other.
    Filling,
    /// Its owner has it.
    Ready,
    /// Loses them.
    Ending,
}

/// Memory that is not collected.
pub(crate) struct Region<F, T> {
    pub id: CbufId,
    pub kind: Kind,
    pub owner: ComponentId,
    pub phase: Phase,
    /// Virtual page number at its owner's; 0 where it is not in one place.
    pub place: u64,
    pub pages: u64,
    /// What the manager made it of; nothing where `init` made it. In the order of their places.
    pub pieces: Vec<Piece<F, T>>,
    /// Pages in these.
    pub filled: u64,
    /// No other region ever has the same, whatever its id.
    pub serial: u64,
}

impl<M: Machine> Manager<M> {
    /// The supervisor tells of memory that it made for a component: `pages` at virtual page number
    /// `place` there (0: nowhere in particular). Answers its id. [`Error::BadArgument`]: a kind that
    /// only the manager makes; [`Error::BadSize`]: no pages.
    pub fn register(
        &mut self,
        component: ComponentId,
        kind: Kind,
        place: u64,
        pages: u64,
    ) -> Result<CbufId, Error> {
        if kind == Kind::Collected {
            return Err(Error::BadArgument);
        }
        if pages == 0 {
            return Err(Error::BadSize);
        }
        self.given(component)?;
        let id = self.add_region(component, kind, Phase::Registered, place, pages)?;
        self.given_mut(component).add(kind, pages);
        Ok(id)
    }

    /// Pages that a component has outside of its pool, by kind.
    pub fn given(&self, component: ComponentId) -> Result<Given, Error> {
        let given = self.given.get(component.0 as usize);
        given.copied().ok_or(Error::NotFound)
    }

    /// The same, of a component that is known to be in the table.
    pub(crate) fn given_mut(&mut self, component: ComponentId) -> &mut Given {
        &mut self.given[component.0 as usize]
    }

    /// A new id for memory that is not collected; no account is touched.
    pub(crate) fn add_region(
        &mut self,
        owner: ComponentId,
        kind: Kind,
        phase: Phase,
        place: u64,
        pages: u64,
    ) -> Result<CbufId, Error> {
        self.regions.try_reserve(1).map_err(|_| Error::NoMemory)?;
        let id = self.fresh_id()?;
        let at = self.regions.partition_point(|r| r.id < id);
        self.serials += 1;
        self.regions.insert(
            at,
            Region {
                id,
                kind,
                owner,
                phase,
                place,
                pages,
                pieces: Vec::new(),
                filled: 0,
                serial: self.serials,
            },
        );
        Ok(id)
    }

    /// Its place in the table.
    pub(crate) fn region_at(&self, id: CbufId) -> Result<usize, Error> {
        let at = self.regions.binary_search_by_key(&id, |r| r.id);
        at.map_err(|_| Error::BadBuffer)
    }

    /// The buffer with the smallest id above `after`, of whatever kind. Costs a look at the ids
    /// between: for people, not for policies.
    pub fn next_buffer(&self, after: CbufId) -> Option<Listed> {
        let first = self.regions.partition_point(|r| r.id <= after);
        let region = self.regions.get(first).map(|r| Listed {
            id: r.id,
            kind: r.kind,
            owner: Some(r.owner),
            pages: r.pages,
        });
        let from = after.0 as usize + 1;
        let end = region.map_or(self.buffers.len(), |r| r.id.0 as usize);
        let collected = self.buffers.get(from..end)?.iter().zip(from..);
        let collected = collected.filter_map(|(buffer, n)| Some((buffer.as_ref()?, n)));
        let collected = collected.map(|(buffer, n)| Listed {
            id: CbufId(n as u32),
            kind: Kind::Collected,
            owner: buffer.owner,
            pages: buffer.pages(),
        });
        collected.into_iter().next().or(region)
    }
}
