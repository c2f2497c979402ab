//! Memory and slots for one case after another, and what a case expects.

use abi::layout::PAGE;
use abi::start::slot::{CSPACE, KERNEL};
use abi::{CPtr, CapType, Error, Rights, op};
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Display, Formatter};
use rt::cap;

use crate::trace::{Trace, capabilities};

/// Slots that the cases use: an L2 CNode of their own.
const L1_INDEX: u32 = 1;
const SLOTS: u32 = 256;
/// First slot of the first L2 CNode that `init` leaves empty for sure, and what lies there.
const FIRST: u32 = 128;
const L2: CPtr = CPtr(FIRST);
const SCRATCH: CPtr = CPtr(FIRST + 1);
const CASES_BYTES: u64 = 8 << 20;
const LARGE: u64 = 2 << 20;
pub const PAGE_BYTES: u64 = PAGE as u64;

/// Why a case failed.
pub struct Failed(pub String);

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed(format!("{error}"))
    }
}

impl Display for Failed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The largest piece of memory that was granted.
fn largest() -> Result<CPtr, Failed> {
    let grants = rt::info().grants.iter();
    let named = grants.filter(|grant| grant.name.as_str() == "ram");
    let sizes =
        named.filter_map(|grant| Some((cap::identify(CSPACE, grant.cap).ok()?.bytes, grant.cap)));
    let found = sizes.max_by_key(|(bytes, _)| *bytes);
    found.map(|(_, cap)| cap).ok_or(Error::NotFound.into())
}

pub struct Work<'a> {
    pub trace: &'a mut Trace,
    /// Where [`Work::make`] goes on in the scratch memory.
    used: u64,
}

impl<'a> Work<'a> {
    pub fn new(trace: &'a mut Trace) -> Result<Work<'a>, Failed> {
        let ram = largest()?;
        let there = cap::identify(CSPACE, ram)?;
        cap::retype(CSPACE, L2, ram, CapType::L2CNode, 1, 0, 0)?;
        cap::install_l2(CSPACE, L2, L1_INDEX)?;
        // At a multiple of the size of a large page.
        let offset = (there.base + PAGE_BYTES * 4).next_multiple_of(LARGE) - there.base;
        let bytes = CASES_BYTES.min((there.bytes - offset) & !(LARGE - 1));
        cap::retype(CSPACE, SCRATCH, ram, CapType::Ram, 1, offset, bytes)?;
        Ok(Work { trace, used: 0 })
    }

    /// Runs a case; afterwards everything is as before it.
    pub fn case(&mut self, act: fn(&mut Work) -> Result<(), Failed>) -> Result<(), Failed> {
        let before = capabilities()?;
        let result = act(self);
        for slot in self.made() {
            cap::delete(CSPACE, slot)?;
        }
        cap::revoke(CSPACE, SCRATCH)?;
        self.used = 0;
        result?;
        match capabilities()? {
            after if after == before => Ok(()),
            after => Err(Failed(format!(
                "{before} capabilities before, {after} after"
            ))),
        }
    }

    /// Slots of the case that hold something.
    pub fn made(&self) -> impl Iterator<Item = CPtr> + use<> {
        (0..SLOTS)
            .map(|n| CPtr::new(L1_INDEX, n as u8))
            .filter(|slot| cap::identify(CSPACE, *slot).is_ok())
    }

    /// A place for an object of `bytes` in the scratch memory that nothing was in before.
    pub fn room(&mut self, bytes: u64) -> u64 {
        let align = if bytes >= LARGE { LARGE } else { PAGE_BYTES };
        let offset = self.used.next_multiple_of(align);
        self.used = offset + bytes;
        offset
    }

    /// One object in slot `to`.
    pub fn make(&mut self, captype: CapType, bytes: u64, to: CPtr) -> Result<(), Failed> {
        let room = match captype {
            CapType::L2CNode => 4 * PAGE_BYTES,
            _ => bytes.max(PAGE_BYTES),
        };
        let offset = self.room(room);
        let what = captype as u64 | 1 << 32;
        let args = [cptr(to), cptr(SCRATCH), what, offset, bytes];
        loop {
            match self.trace.call(CSPACE, op::cspace::RETYPE, args) {
                Ok(_) => return Ok(()),
                Err(Error::Again) => {}
                Err(error) => return Err(Failed(format!("{captype:?} of {bytes}: {error}"))),
            }
        }
    }

    /// A copy with fewer rights.
    pub fn mint(&mut self, from: CPtr, rights: Rights, to: CPtr) -> Result<(), Failed> {
        let args = [cptr(to), cptr(from), u64::from(rights.bits()), 0, 0];
        self.gives(CSPACE, op::cspace::COPY, args).map(drop)
    }

    /// The call succeeds.
    pub fn gives(&mut self, object: CPtr, op: u64, args: [u64; 5]) -> Result<[u64; 4], Failed> {
        let result = self.trace.call(object, op, args);
        result.map_err(|error| Failed(format!("{object:?} {op} {args:x?}: {error}")))
    }

    /// The call is refused, for one reason.
    pub fn refuses(
        &mut self,
        object: CPtr,
        op: u64,
        args: [u64; 5],
        reason: Error,
    ) -> Result<(), Failed> {
        match self.trace.call(object, op, args) {
            Err(error) if error == reason => Ok(()),
            other => Err(Failed(format!(
                "{object:?} {op} {args:x?}: {other:?}, not {reason:?}"
            ))),
        }
    }

    /// Several refusals of one operation.
    pub fn refuses_all(
        &mut self,
        object: CPtr,
        op: u64,
        cases: &[([u64; 5], Error)],
    ) -> Result<(), Failed> {
        let mut cases = cases.iter();
        cases.try_for_each(|(args, error)| self.refuses(object, op, *args, *error))
    }

    /// One capability of nearly every type.
    pub fn some_of_each(&mut self) -> Result<(), Failed> {
        let kinds = [
            CapType::Ram,
            CapType::Frame,
            CapType::L1CNode,
            CapType::L2CNode,
            CapType::Pml4,
            CapType::Pdpt,
            CapType::Pd,
            CapType::Pt,
            CapType::Component,
        ];
        for (n, captype) in kinds.into_iter().enumerate() {
            let bytes = if captype == CapType::L2CNode {
                0
            } else {
                PAGE_BYTES
            };
            self.make(captype, bytes, at(n as u8))?;
        }
        self.gives(
            at(7),
            op::table::MAP,
            [cptr(at(1)), run(0, 1, READ), 0, cptr(at(20)), 0],
        )?;
        self.gives(KERNEL, op::kernel::MAKE_IRQ, [cptr(at(21)), 40, 0, 0, 0])?;
        Ok(())
    }
}

/// A slot of the cases.
pub const fn at(n: u8) -> CPtr {
    CPtr::new(L1_INDEX, n)
}

/// The memory of the cases.
pub const fn scratch() -> CPtr {
    SCRATCH
}

pub const fn cptr(at: CPtr) -> u64 {
    at.0 as u64
}

pub const READ: u64 = 1;
pub const WRITE: u64 = 2;
pub const EXECUTE: u64 = 4;
pub const LARGE_PAGE: u64 = 16;

/// First entry, number and flags of entries.
pub const fn run(first: u64, count: u64, flags: u64) -> u64 {
    first | count << 16 | flags << 32
}

/// An address where there is no slot, an L1 index that is past every end, and an empty slot.
pub const NOWHERE: u64 = 60 << 8;
pub const PAST_END: u64 = 1 << 20;
pub const EMPTY: u64 = cptr(at(250));
