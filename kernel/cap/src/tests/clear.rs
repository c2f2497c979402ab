//! Clearing in pieces: nothing is made before all of it is zero, whatever happens in between.

use super::*;
use crate::clear::PIECE;

const BYTES: u64 = 2 * PIECE + PAGE;

fn fill(w: &World, base: u64, bytes: u64) {
    // SAFETY: memory that is no object.
    unsafe {
        let memory = w.caps.platform.virt(base);
        memory.write_bytes(0xff, bytes as usize);
    }
}

fn is_zero(w: &World, base: u64, bytes: u64) -> bool {
    let memory = w.caps.platform.virt(base);
    // SAFETY: memory that the test has just made a CNode without capabilities.
    let memory = unsafe { std::slice::from_raw_parts(memory, bytes as usize) };
    memory.iter().all(|byte| *byte == 0)
}

fn l1(w: &mut World, offset: u64, to: usize) -> Result<(), Error> {
    w.make(RAM, CapType::L1CNode, offset, BYTES, to)
}

#[test]
fn a_large_object_is_cleared_in_pieces() {
    let mut w = World::new();
    fill(&w, BASE + FREE_RAM, BYTES);
    assert_eq!(l1(&mut w, FREE_RAM, FREE), Err(Error::Again));
    assert!(w.boot(FREE).is_empty(), "made before it was zero");
    check::world(&w);
    assert_eq!(l1(&mut w, FREE_RAM, FREE), Err(Error::Again));
    assert_eq!(l1(&mut w, FREE_RAM, FREE), Ok(()));
    assert!(is_zero(&w, BASE + FREE_RAM, BYTES));
    assert!(w.caps.platform.largest_zeroed <= PIECE);
    check::world(&w);
}

#[test]
fn what_was_used_in_between_is_cleared_again() {
    let mut w = World::new();
    fill(&w, BASE + FREE_RAM, BYTES);
    assert_eq!(l1(&mut w, FREE_RAM, FREE), Err(Error::Again));
    let used = FREE_RAM + 2 * PAGE;
    w.make(RAM, CapType::Frame, used, PAGE, FREE + 1).unwrap();
    fill(&w, BASE + used, PAGE);
    assert_eq!(l1(&mut w, FREE_RAM, FREE), Err(Error::Overlaps));
    w.delete(w.boot(FREE + 1)).unwrap();
    let ram = w.boot(RAM);
    let run = SlotRun::one(w.boot(FREE));
    let (result, _) = w.until_done(|caps| caps.retype(ram, run, CapType::L1CNode, FREE_RAM, BYTES));
    assert_eq!(result, Ok(()));
    assert!(is_zero(&w, BASE + FREE_RAM, BYTES));
}

#[test]
fn two_who_take_turns_both_come_to_an_end() {
    let mut w = World::new();
    let offsets = [FREE_RAM, FREE_RAM + BYTES];
    fill(&w, BASE + FREE_RAM, 2 * BYTES);
    let mut results = [Err(Error::Again); 2];
    for _ in 0..10 {
        for (n, result) in results.iter_mut().enumerate() {
            if *result == Err(Error::Again) {
                *result = l1(&mut w, offsets[n], FREE + n);
            }
        }
    }
    assert_eq!(results, [Ok(()); 2]);
    assert!(is_zero(&w, BASE + FREE_RAM, 2 * BYTES));
    check::world(&w);
}

#[test]
fn one_retype_clears_so_much_and_no_more() {
    const HALF: u64 = crate::captype::MAX_ZEROED / 2;
    let mut w = World::new();
    let ram = w.boot(RAM);
    let mut make = |count, bytes| {
        let run = w.caps.slots(w.space(), CPtr::new(0, 8), count).unwrap();
        w.caps.retype(ram, run, CapType::L1CNode, FREE_RAM, bytes)
    };
    assert_eq!(make(3, HALF), Err(Error::BadSize));
    assert_eq!(make(2, HALF + PAGE), Err(Error::BadSize));
    assert_eq!(make(2, HALF), Err(Error::Again));
}
