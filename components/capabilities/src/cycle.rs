//! All memory that there is, cycled through every type: in the end it is there as it was.

use abi::start::slot::{CSPACE, RECLAIM};
use abi::{CPtr, CapType, Error, Rights};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use rt::cap;

use crate::trace::capabilities;
use crate::work::{Failed, PAGE_BYTES};

const ROUNDS: u64 = 40;
/// Slots of the first L2 CNode that `init` leaves empty for sure.
const FIRST: u32 = 96;
const END: u32 = 256;
/// Slots where memory lies between rounds.
const PIECES: u32 = 24;
/// What is made in each round besides frames.
const KINDS: [(CapType, u64); 9] = [
    (CapType::L2CNode, 4),
    (CapType::L2CNode, 4),
    (CapType::L1CNode, 2),
    (CapType::Pml4, 1),
    (CapType::Pdpt, 1),
    (CapType::Pd, 1),
    (CapType::Pt, 1),
    (CapType::Component, 1),
    (CapType::Thread, 1),
];

/// Base and size of a piece, and where its capability lies.
type Piece = (u64, u64, CPtr);

fn free(cptr: &CPtr) -> bool {
    cap::identify(CSPACE, *cptr) == Err(Error::NoCapability)
}

/// Takes all memory that nobody holds.
fn reclaim() -> Result<Vec<Piece>, Failed> {
    let mut pieces = Vec::new();
    for slot in (FIRST..FIRST + PIECES).map(CPtr).filter(free) {
        match cap::kernel::reclaim(RECLAIM, slot) {
            Ok((base, bytes)) => pieces.push((base, bytes, slot)),
            Err(Error::NotFound) => break,
            Err(error) => return Err(error.into()),
        }
    }
    pieces.sort();
    Ok(pieces)
}

fn shape(pieces: &[Piece]) -> Vec<(u64, u64)> {
    pieces
        .iter()
        .map(|(base, bytes, _)| (*base, *bytes))
        .collect()
}

/// A generator of numbers that look random (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

pub fn all_memory() -> Result<(), String> {
    cycles().map_err(|Failed(why)| why)
}

fn cycles() -> Result<(), Failed> {
    // From here on all memory is what RECLAIM gives.
    for grant in rt::info()
        .grants
        .iter()
        .filter(|grant| grant.name.as_str() == "ram")
    {
        cap::delete(CSPACE, grant.cap)?;
    }
    let mut pieces = reclaim()?;
    let (first, count) = (shape(&pieces), capabilities()?);
    let bytes: u64 = first.iter().map(|(_, bytes)| bytes).sum();
    let mut random = Random(0x00c1_57e2);
    for n in 0..ROUNDS {
        round(&pieces, &mut random).map_err(|Failed(why)| Failed(format!("round {n}: {why}")))?;
        pieces = reclaim()?;
        if shape(&pieces) != first || capabilities()? != count {
            let now: u64 = pieces.iter().map(|(_, bytes, _)| bytes).sum();
            let there = capabilities()?;
            return Err(Failed(format!(
                "round {n}: {bytes} bytes became {now}, {count} capabilities {there}"
            )));
        }
    }
    rt::println!("{bytes} bytes in {} pieces, {ROUNDS} times", first.len());
    // The rest of the tests finds memory where `init` put it.
    let grants = rt::info()
        .grants
        .iter()
        .filter(|grant| grant.name.as_str() == "ram");
    let mut slots = grants.map(|grant| grant.cap);
    pieces.sort_by_key(|(_, bytes, _)| core::cmp::Reverse(*bytes));
    for (_, _, from) in pieces {
        if let Some(to) = slots.next() {
            cap::relocate(CSPACE, from, to)?;
        }
    }
    Ok(())
}

/// Makes something of every page, gives the memory itself up, and then all that was made, in any
/// order.
fn round(pieces: &[Piece], random: &mut Random) -> Result<(), Failed> {
    let mut slots = (FIRST + PIECES..END).map(CPtr).filter(free);
    let mut held = Vec::new();
    let mut lost = Vec::new();
    for (base, bytes, ram) in pieces {
        let mut next = || slots.next().ok_or(Error::NoMemory);
        let mut offset = 0;
        if *bytes >= 64 * PAGE_BYTES {
            let mut made = Vec::new();
            for (captype, pages) in KINDS {
                let slot = next()?;
                cap::retype(CSPACE, slot, *ram, captype, 1, offset, pages * PAGE_BYTES)?;
                offset += pages * PAGE_BYTES;
                made.push(slot);
            }
            // Copies and mints of some.
            for slot in &made {
                if random.below(2) == 0 {
                    let copy = next()?;
                    cap::copy(CSPACE, copy, *slot, Rights::READ | Rights::GRANT)?;
                    held.push(copy);
                }
            }
            // Two CNodes that hold each other's last capabilities, with a third to move them there.
            let [one, two, root] = [made[0], made[1], made[2]];
            cap::install_l2(root, one, 0)?;
            cap::install_l2(root, two, 1)?;
            cap::copy(root, CPtr::new(0, 9), two, Rights::all())?;
            cap::copy(root, CPtr::new(1, 9), one, Rights::all())?;
            lost.push(*base);
            held.extend(made);
        }
        // Frames over all the rest, some in two steps, some cut further.
        let parts = 4;
        let each = ((bytes - offset) / parts) & !(PAGE_BYTES - 1);
        for part in 0..parts {
            let size = if part + 1 == parts {
                bytes - offset
            } else {
                each
            };
            if size == 0 {
                continue;
            }
            let slot = next()?;
            let captype = if random.below(2) == 0 {
                CapType::Ram
            } else {
                CapType::Frame
            };
            if captype == CapType::Ram && size == *bytes {
                cap::retype(CSPACE, slot, *ram, CapType::Frame, 1, offset, size)?;
            } else {
                cap::retype(CSPACE, slot, *ram, captype, 1, offset, size)?;
            }
            held.push(slot);
            if size > 4 * PAGE_BYTES {
                let inner = next()?;
                let from = random.below(size / PAGE_BYTES - 2) * PAGE_BYTES;
                cap::retype(CSPACE, inner, slot, CapType::Frame, 1, from, PAGE_BYTES)?;
                held.push(inner);
            }
            offset += size;
        }
    }
    // The ancestors first.
    for (_, _, ram) in pieces {
        cap::delete(CSPACE, *ram)?;
    }
    while !held.is_empty() {
        let at = random.below(held.len() as u64) as usize;
        cap::delete(CSPACE, held.swap_remove(at))?;
    }
    // What nobody can reach any more has no Ram above it: it is found by its place.
    let claimed = CPtr(FIRST + PIECES);
    for base in lost {
        for offset in [0, 4 * PAGE_BYTES] {
            match cap::kernel::claim(RECLAIM, claimed, base + offset) {
                Ok(_) => {
                    cap::revoke(CSPACE, claimed)?;
                    cap::delete(CSPACE, claimed)?;
                }
                // It went with the other.
                Err(Error::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
