//! The runtime that every component links.
//!
//! Guarantees: an invoked component runs on a stack of its own, chosen by the thread's number
//! without a lock; nothing but arguments and results crosses an invocation in registers, in
//! either direction; a contended lock lends its waiter's priority to its owner.
//! Trusts: the kernel's register convention (`abi`), the start information that `init` wrote,
//! and the component's own code. Never trusts what a caller or callee hands over: it goes to the
//! component's handlers as numbers.
//! Never does: unwind, allocate behind the component's back, or decide a policy.
//! Source: CBUFs, section 3 (components and invocations); Barrelfish, chapter 2.6 (system calls
//! on capabilities).
//!
//! Items that a C library has too (`memcpy` and friends) carry names of their own here and are
//! renamed by `component.ld`; [`component!`] makes the entry symbol, the panic handler and the
//! allocator. So the crate builds on the host like any other.

#![cfg_attr(not(test), no_std)]

pub mod alone;
mod arena;
pub mod backtrace;
pub mod cap;
pub mod cbuf;
pub mod component;
pub mod console;
pub mod fault;
pub mod heap;
pub mod info;
pub mod invoke;
pub mod memory;
pub mod observe;
pub mod sched;
pub mod suite;
pub mod sync;
pub mod thread;
pub mod time;

pub use component::{Call, Reply, panicked};
pub use info::{Import, arguments, grant, import, imports, info};
pub use invoke::{Failure, attempt, invoke, syscall};
pub use thread::thread_id;

pub use abi;
