//! What `init` computes before it acts: the parts that need no machine.
//!
//! Guarantees: no device register, clock or command line, whatever it says, makes these
//! functions panic or loop without end.
//! Trusts: nothing that it reads; what makes no sense is left out or answered with `None`.
//! Never does: touch the machine itself; configuration space and clock are read through traits.
//! Source: Barrelfish, chapter 3 (page tables built by user code), for what the program does
//! with these parts; PCI Local Bus 3.0, chapter 6, for configuration space.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod arguments;
pub mod clock;
pub mod pci;
pub mod place;
pub mod runs;
pub mod trace;
pub mod trials;
