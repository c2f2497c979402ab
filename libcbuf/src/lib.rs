//! The client side of CBUFs: the metadata that a component shares with the CBUF manager, and the
//! library that allocates, frees, sends and receives buffers without calling anyone as long as
//! the component's pool has what is asked for. Source: CBUFs, sections 2.3 and 3.
//!
//! Guarantees: allocation, free, send and receive are lock-free; a buffer handed out is
//! referenced by nobody else; an id, offset or length from another component is checked before
//! it becomes memory, and is received only from a component that sent it; the typed layer
//! ([`Buffer`], [`Cbuf`], [`Aggregate`], [`Batch`], [`Owned`]) keeps the three counters of section 3.2 right by construction.
//! Trusts: the manager, and the component's own writes to its own metadata.
//! Never does: trust a word that another component passed; wait, except where a function says
//! that it blocks in the manager; touch another component's metadata.

#![cfg_attr(not(any(test, loom)), no_std)]

#[cfg(all(feature = "std", not(any(test, loom))))]
extern crate std;

pub mod aggregate;
pub mod batch;
pub mod buffer;
pub mod client;
pub mod freelist;
pub mod meta;
pub mod owned;
pub mod primitive;
mod receive;
mod release;
pub mod ring;
pub mod shelf;
pub mod slab;
mod stock;
pub mod thread;
pub mod trie;
pub mod wire;

pub use abi::{ComponentId, Error};
pub use aggregate::Aggregate;
pub use batch::{Batch, Incoming, Record};
pub use buffer::{Buffer, Cbuf};
pub use client::{Client, Manager};
pub use meta::CbufId;
pub use owned::Owned;
pub use slab::{Piece, Slab};
pub use wire::CbufRef;
