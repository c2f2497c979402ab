//! The HTTP server as pure logic: bytes and a clock in, commands for the network stack out.
//!
//! Guarantees: answers on a connection leave in the order of its requests; every input gets an
//! answer or a close, never a panic; memory is bounded for each connection and in all; a body
//! is forwarded by reference and never copied. RFC 9110 and RFC 9112, strictly: what they let
//! a server repair is refused instead, since a repaired request is what smuggling lives on.
//! Trusts: nothing that a client sends; of the network stack, the content and the CGI component
//! only that a buffer stays as it is while it is referenced.
//! Never does: name a system call. [`platform::Platform`] is all that it asks of its world, so
//! that every path runs in host tests. Batching follows CBUFs, section 2.4: one round of
//! [`server::Server::handle`] makes at most one lookup, one CGI invocation and one
//! report of each kind, however many connections spoke.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod answer;
pub mod arena;
pub mod body;
pub mod cache;
pub mod choice;
pub mod condition;
pub mod connection;
pub mod date;
pub mod expire;
pub mod head;
pub mod outbox;
pub mod path;
pub mod platform;
pub mod request;
pub mod response;
pub mod routes;
pub mod server;
pub mod settings;
pub mod stats;
pub mod status;
pub mod work;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
