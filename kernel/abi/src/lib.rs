//! The one page that the kernel and every component share: system-call registers, operation
//! numbers, errors, capability types, fixed virtual addresses and the two tables that pass
//! information at start (kernel → init, init → component).
//!
//! Guarantees: plain data and constants, no code that can fail, no `unsafe`, no allocation.
//! Never does: name a device register or a policy.
//!
//! # The system call
//!
//! One instruction, `syscall`, one shape:
//!
//! | register | in | out |
//! |---|---|---|
//! | `r10` | [`CPtr`] of the invoked capability, or [`CPtr::RETURN`] | not 0: the kernel refused, no callee ran; else 0 |
//! | `rax` | operation (kernel objects) or method (an Entry: handed to the callee as it is) | [`Error`] as a number, 0 is success |
//! | `rdi rsi rdx r8` | arguments 0 to 3 | results 0 to 3 |
//! | `r9` | argument 4 (kernel objects only) | clobbered |
//! | `rcx r11` | clobbered by the instruction | |
//!
//! An operation on a kernel object preserves every register not named above. Invoking an
//! **Entry** preserves only `rsp` and the return address: the kernel keeps those two, the
//! caller's stub saves `rbx rbp r12`–`r15` and clears whatever must not leak (vector registers
//! included). The callee starts at its component's entry address with
//!
//! `rax` = method, `rdi rsi rdx r8` = arguments, `r9` = the Entry's badge ([`Badge`]),
//! `r10` = thread id ([`ThreadId`]), `rsp` = 0, interrupts as its component has them.
//!
//! It returns with `r10` = [`CPtr::RETURN`], `rax` = status, results in `rdi rsi rdx r8`.
//! No user address is ever read or written by the kernel: everything travels in registers.

#![no_std]
#![forbid(unsafe_code)]

pub mod captype;
pub mod cptr;
pub mod error;
pub mod id;
pub mod layout;
pub mod level;
pub mod op;
pub mod start;
pub mod typeinfo;

pub use captype::{CapType, Rights};
pub use cptr::CPtr;
pub use error::Error;
pub use id::{Badge, ComponentId, CoreId, ThreadId};
