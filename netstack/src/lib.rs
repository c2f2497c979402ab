//! The network stack: TCP over frames that live in CBUFs, for components that invoke `net`.
//!
//! Guarantees: work and memory per connection, per listener and per frame are bounded; no frame
//! and no command panics it; a component sees the sockets of its own listeners only; a SYN that
//! finds no free socket waits a moment or is dropped, so that the client tries again, and is
//! never answered by a reset.
//! Trusts: smoltcp for TCP itself (each frame is classified before smoltcp sees it), and the
//! driver not to write a frame that it has handed over, nor to vouch for a wrong checksum.
//! Never does: wait (its `main` does), scan all sockets for a packet, queue events (they are
//! flags of a connection until they are taken).
//! Source: CBUFs, section 5 (network and web server). Limits and the application's view are in
//! `docs/network.md`.
//!
//! # One packet, one socket
//!
//! smoltcp asks every socket of a set whether a packet is its own. Here each connection has a
//! set of one; [`frame`] reads the addresses of an incoming segment, [`flows`] finds the
//! connection, and the interface is polled with that set and a device that holds that frame.
//!
//! # Copies of a payload byte
//!
//! | | from | to | why |
//! |---|---|---|---|
//! | receive 0 | the buffer that the card wrote | a page with many frames | the driver's, only for frames of at most 256 bytes: it keeps the large buffers with the card |
//! | receive 1 | the frame's CBUF | the socket's receive ring | smoltcp puts segments in order in a ring it owns, and holds what came too early |
//! | receive 2 | the receive ring | a CBUF of ours, many connections' bytes in one page | the ring is private memory, and the receiver may keep the bytes as long as it likes |
//! | send 1 | the application's CBUF | the socket's send ring | a segment may be sent again, and smoltcp sends from its ring |
//! | send 2 | the send ring | a frame's CBUF, many frames in one page | headers and payload make one run of bytes for the device |
//! | send 3 | private memory | a frame's CBUF | only where a segment that the card should cut finds no large buffer, and is cut here |
//!
//! `counters()` counts each of them. Neither send 1 nor send 2 can be left out: smoltcp has no
//! socket that holds references to what it sends, and writes each segment whole, headers and
//! payload, into the memory that it is handed. References would leave it copying bytes that
//! nobody wants, and the order of what is acknowledged to be kept twice.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod address;
pub mod backlog;
pub mod checksum;
pub mod connection;
pub mod deadlines;
pub mod flows;
pub mod frame;
mod local;
pub mod offload;
pub mod outgoing;
pub mod pack;
mod recycle;
pub mod sockets;
pub mod stack;
pub mod wire;
