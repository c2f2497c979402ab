//! What the machine does, as text: the pure part.
//!
//! Guarantees: every text is valid by its format (the Prometheus text format 0.0.4; RFC 8259),
//! whatever the figures are, and its length is bounded by the number of components and edges; a
//! choice is read by the rules of the kernel command line, whole or not at all.
//! Trusts: names, which `init` took from the image's description. Nothing of what is to be chosen.
//! Never does: ask anyone. [`figures`] is what the component found out, and all that there is to
//! tell. Source of the figures: CBUFs, section 4 (what policies look at).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod choice;
pub mod figures;
#[cfg(any(test, feature = "grammar"))]
pub mod grammar;
pub mod json;
pub mod latency;
pub mod prometheus;
pub mod served;
#[cfg(test)]
mod tests;
