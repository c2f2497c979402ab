//! Where photographs come in and panoramas go out: uploads are gathered as they come, wait their
//! turn, and are worked on one after the other.
//!
//! Guarantees: what an upload may take is bounded before it takes it ([`Limits`]); whatever is
//! wrong with one is one sentence and a status for whoever sent it, and the next one is not
//! touched by it; a job that nobody waits for any more gives all its memory back.
//! Trusts: nothing in an upload; of a client, that the jobs it names are its own, which makes no
//! difference to other clients' jobs.
//! Never does: look at pixels. What is in the files is the stages' business.
//!
//! The pipeline is that of the paper on CBUFs, section 5.2.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

#[cfg(feature = "component")]
pub mod desk;
mod jobs;
mod refusal;
mod upload;

pub use jobs::{Answer, Body, Jobs, Key};
pub use refusal::Refusal;
pub use upload::{Limits, Upload};

#[cfg(test)]
mod fake;
