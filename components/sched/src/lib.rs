//! Which thread runs on a core: fixed priorities, round robin inside one, blocking with wake
//! tokens, sleeping until a time-stamp, waiting for interrupts, priority inheritance.
//!
//! Guarantees: the thread picked is always one of the highest effective priority; inside a
//! priority threads take turns in the order in which they became runnable, a slice each; a
//! wake-up before a block is kept as a token, so "check, then block" loses none; a thread that
//! others wait for through a chain of `block_on` runs at no lower a priority than they do.
//! Trusts: its caller about the time and about who runs. Every number that a component passes is
//! checked.
//! Never does: touch hardware, allocate, or loop longer than there are threads (times a chain).
//! Source: CBUFs, section 3 (the component that blocks and wakes threads).

#![no_std]
#![forbid(unsafe_code)]

mod lend;
mod table;
#[cfg(test)]
mod tests;
mod thread;

pub use table::{Scheduler, Wait};
