//! The manager with real clients in one process, over a machine of plain memory.

mod common;
mod model;
mod paths;
mod senders;
mod threads;
