//! Where a fault comes from: the return addresses on the faulting thread's stack, which the
//! supervisor prints by name. A component that names no fault handler has this one; what a
//! handler of its own gives up comes here too.
//!
//! Code is compiled with frame pointers, so a stack is a list of pairs: the caller's frame
//! pointer, the return address. Whatever the component has done to its stack, each pair must lie
//! in the thread's stack place and above the one before, so the walk reads mapped memory alone
//! and ends. The addresses travel in registers, and the supervisor prints them when the component
//! has died: who has no right to a console cannot print at will. Allocates nothing, takes no lock
//! and needs less than [`REPORT_STACK`] bytes of stack.

use core::arch::naked_asm;

use abi::layout::{IMAGE, REPORT_STACK, STACK_STRIDE, STACKS, START_INFO};
use abi::op::lifecycle::{TRACE_ADDRESSES, fault};
use abi::op::own;
use abi::{CPtr, ThreadId};

use crate::invoke::syscall;

/// Return addresses that are told of a deep stack: the innermost and the outermost.
const INNER: usize = 18;
const OUTER: usize = 6;
const WORD: u64 = size_of::<u64>() as u64;

/// A fault as the kernel notes it.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    pub kind: u64,
    pub address: u64,
    pub rip: u64,
    pub rsp: u64,
    pub rbp: u64,
}

/// The runtime's own fault handler: reports, and gives up.
///
/// # Safety
/// For the kernel alone, as a component's entry for faults, on a fresh stack and with `rbp` as
/// the fault left it: it is no function of Rust's convention.
#[doc(hidden)]
#[unsafe(naked)]
pub unsafe extern "C" fn enter() -> ! {
    naked_asm!(
        "mov rdi, rbp",
        "xor ebp, ebp",
        "call {report}",
        "ud2",
        report = sym report,
    )
}

extern "C" fn report(rbp: u64) -> ! {
    if let Ok([rip, flags, rsp, address]) = syscall(CPtr::OWN, own::FAULT, [0; 5]) {
        let site = Site {
            kind: flags >> 32,
            address,
            rip,
            rsp,
            rbp,
        };
        // Comes back only if the supervisor says so; there is no other way to go on then.
        give_up(&site);
    }
    crate::component::stop()
}

/// Tells the supervisor where the fault comes from, then gives it up. Returns when the supervisor
/// resumes the thread.
pub(crate) fn give_up(site: &Site) {
    let stack = stack_of(crate::thread_id(), crate::info().stack_bytes);
    // SAFETY: `walk` asks for whole words in `stack` alone, which is mapped: it is this thread's
    // stack place, and nobody unmaps that. Other code may write it meanwhile; any value will do.
    let read = |at: u64| unsafe { (at as *const u64).read_volatile() };
    let mut trace = Trace::default();
    walk(site, stack, read, |address| trace.add(address));
    trace.tell();
    let what = [site.kind, site.address, site.rip, site.rsp, 0];
    // The refusal that there is means that the thread goes on.
    let _ = syscall(CPtr::OWN, own::GIVE_UP, what);
}

/// First address of a thread's stack, and the one behind it.
fn stack_of(thread: ThreadId, bytes: u64) -> (u64, u64) {
    let top = STACKS as u64 + (u64::from(thread.0) + 1) * STACK_STRIDE as u64;
    (top - bytes.min(STACK_STRIDE as u64), top)
}

fn is_code(address: u64) -> bool {
    (IMAGE as u64..START_INFO as u64).contains(&address)
}

/// Gives the return addresses to `found`, from the innermost on; `read` reads the word at an
/// address in `stack`, a multiple of 8.
fn walk(site: &Site, stack: (u64, u64), read: impl Fn(u64) -> u64, mut found: impl FnMut(u32)) {
    let inside = |at: u64| {
        let last = stack.1.wrapping_sub(2 * WORD);
        at.is_multiple_of(WORD) && (stack.0..=last).contains(&at)
    };
    // A jump to nowhere: the call that led there has left its return address and no frame.
    if site.kind == fault::PAGE_EXECUTE && !is_code(site.rip) && inside(site.rsp) {
        let address = read(site.rsp);
        if is_code(address) {
            found(address as u32);
        }
    }
    let mut frame = site.rbp;
    while inside(frame) {
        let address = read(frame + WORD);
        if !is_code(address) {
            return;
        }
        found(address as u32);
        let caller = read(frame);
        if caller <= frame {
            return;
        }
        frame = caller;
    }
}

/// The innermost and the outermost return addresses of a walk, and how many there were.
#[derive(Default)]
struct Trace {
    inner: [u32; INNER],
    /// A ring: the address number `n` is at `n % OUTER`.
    outer: [u32; OUTER],
    count: usize,
}

impl Trace {
    fn add(&mut self, address: u32) {
        match self.inner.get_mut(self.count) {
            Some(place) => *place = address,
            None => self.outer[self.count % OUTER] = address,
        }
        self.count += 1;
    }

    /// Its parts as the supervisor takes them: place of the first address, and addresses.
    fn parts(&self) -> impl Iterator<Item = (u64, [u32; TRACE_ADDRESSES])> {
        let inner = (0..INNER).step_by(TRACE_ADDRESSES);
        let outer = INNER.max(self.count.saturating_sub(OUTER));
        let firsts = inner.chain((outer..outer + OUTER).step_by(TRACE_ADDRESSES));
        firsts
            .filter(|first| *first == 0 || *first < self.count)
            .map(|first| {
                let mut part = [0; TRACE_ADDRESSES];
                for (n, place) in (first..self.count).zip(&mut part) {
                    *place = match self.inner.get(n) {
                        Some(address) => *address,
                        None => self.outer[n % OUTER],
                    };
                }
                (first as u64 + 1, part)
            })
    }

    fn tell(&self) {
        for (first, [a, b, c, d, e, f]) in self.parts() {
            let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            let words = [first, pair(a, b), pair(c, d), pair(e, f), 0];
            // A supervisor that cannot take it has to do without.
            let _ = syscall(CPtr::OWN, own::TRACE, words);
        }
    }
}

const _: () = assert!(INNER.is_multiple_of(TRACE_ADDRESSES) && OUTER == TRACE_ADDRESSES);
// Every stack has at least a page.
const _: () = assert!(REPORT_STACK * 2 <= abi::layout::PAGE);

#[cfg(test)]
mod tests {
    use super::*;

    const LOW: u64 = 0x2000_0000;
    const CODE: u64 = IMAGE as u64;

    /// What is found on a stack of `words` when a fault of that kind comes with that frame
    /// pointer. Reading outside panics.
    fn walked(words: &[u64], kind: u64, rip: u64, rbp: u64) -> Vec<u64> {
        let stack = (LOW, LOW + words.len() as u64 * WORD);
        let read = |at: u64| words[((at - LOW) / WORD) as usize];
        let site = Site {
            kind,
            address: 0,
            rip,
            rsp: LOW,
            rbp,
        };
        let mut all = Vec::new();
        walk(&site, stack, read, |address| all.push(u64::from(address)));
        all
    }

    fn at(word: u64) -> u64 {
        LOW + word * WORD
    }

    #[test]
    fn frames_are_followed_to_the_outermost() {
        let stack = [9, at(4), CODE + 1, 9, at(6), CODE + 2, 0, CODE + 3];
        let all = [CODE + 1, CODE + 2, CODE + 3];
        assert_eq!(walked(&stack, fault::ILLEGAL, CODE, at(1)), all);
        assert_eq!(walked(&stack, fault::ILLEGAL, CODE, at(6)), all[2..]);
    }

    #[test]
    fn a_jump_to_nowhere_shows_who_jumped() {
        let stack = [CODE + 7, 0, CODE + 8, 0];
        let all = [CODE + 7, CODE + 8];
        assert_eq!(walked(&stack, fault::PAGE_EXECUTE, 0, at(1)), all);
        assert_eq!(walked(&stack, fault::PAGE_EXECUTE, CODE, at(1)), all[1..]);
        assert_eq!(walked(&stack, fault::PAGE_READ, 0, at(1)), all[1..]);
        let stack = [START_INFO as u64, 0, CODE + 8, 0];
        assert_eq!(walked(&stack, fault::PAGE_EXECUTE, 0, at(1)), all[1..]);
    }

    #[test]
    fn corrupt_chains_end() {
        for rbp in [
            0,
            1,
            LOW - 8,
            at(1) + 1,
            at(3),
            at(4),
            u64::MAX,
            u64::MAX - 7,
            1 << 63,
        ] {
            assert_eq!(
                walked(&[at(2), CODE, 0, CODE], 0, CODE, rbp),
                [0; 0],
                "{rbp:#x}"
            );
        }
        // To itself, down, out of the stack, to what is no code.
        for next in [at(0), at(1), at(3), at(4) - 1, LOW - 16, u64::MAX, 0] {
            let stack = [0, next, CODE + 1, 0];
            assert_eq!(walked(&stack, 0, CODE, at(1)), [CODE + 1], "{next:#x}");
        }
        let stack = [at(2), CODE + 1, 0, START_INFO as u64];
        assert_eq!(walked(&stack, 0, CODE, at(0)), [CODE + 1]);
        assert_eq!(walked(&[], 0, CODE, LOW), [0; 0]);
        assert_eq!(walked(&[0], 0, CODE, LOW), [0; 0]);
    }

    #[test]
    fn the_longest_chain_ends() {
        let mut stack = Vec::new();
        for frame in 0..500 {
            stack.extend([at(frame * 2 + 2), CODE + frame]);
        }
        assert_eq!(walked(&stack, 0, CODE, LOW).len(), 500);
    }

    #[test]
    fn a_trace_has_its_innermost_and_outermost_parts() {
        let places = |count: usize| {
            let mut trace = Trace::default();
            for n in 1..=count {
                trace.add(n as u32);
            }
            let mut all = Vec::new();
            for (first, part) in trace.parts() {
                let told = part.iter().take_while(|a| **a != 0);
                // An address is its own place here.
                all.extend(told.enumerate().map(|(n, a)| (first + n as u64, *a)));
                assert!(part.iter().skip_while(|a| **a != 0).all(|a| *a == 0));
            }
            assert!(
                all.iter()
                    .all(|(place, address)| *place == u64::from(*address))
            );
            all.into_iter().map(|(place, _)| place).collect::<Vec<_>>()
        };
        for count in 0..=INNER + OUTER {
            assert_eq!(places(count), (1..=count as u64).collect::<Vec<_>>());
        }
        for count in [INNER + OUTER + 1, 1000, 1001, 1005] {
            let outer = (count - OUTER) as u64 + 1..=count as u64;
            let expected: Vec<u64> = (1..=INNER as u64).chain(outer).collect();
            assert_eq!(places(count), expected);
        }
        assert_eq!(Trace::default().parts().count(), 1);
    }

    #[test]
    fn stacks_are_where_the_layout_has_them() {
        let top = (STACKS + 3 * STACK_STRIDE) as u64;
        assert_eq!(stack_of(ThreadId(2), 4096), (top - 4096, top));
        let place = (STACKS + 2 * STACK_STRIDE) as u64;
        assert_eq!(stack_of(ThreadId(2), u64::MAX), (place, top));
    }
}
