//! The manager with real clients in one process, over a machine of plain memory.

#![cfg(not(loom))]

mod aggregates;
mod between;
mod charging;
mod common;
mod discarding;
mod hostile;
mod misdeeds;
mod model;
mod owned;
mod paths;
mod senders;
mod threads;
mod waiting;
mod wire;
mod words;
