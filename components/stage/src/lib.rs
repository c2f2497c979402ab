//! The image pipeline's stages as components.
//!
//! Guarantees: a stage begins only when the heap that it needs at most is reserved ([`need`]); a stage has the parts that it was given, its own memory, and nothing else; it keeps
//! no part after it answered; whatever it is given, it answers or dies alone.
//! Trusts: the CBUF manager. Never does: know who invokes it, or hold memory between two runs.
//!
//! What the stages do is in `cistern-stages`; each program links its own alone.

#![no_std]
#![forbid(unsafe_code)]

pub mod need;
#[cfg(feature = "component")]
mod pool;
#[cfg(feature = "component")]
mod serve;

#[cfg(feature = "component")]
pub use pool::{Now, Pool, text};
#[cfg(feature = "component")]
pub use serve::{Remote, Service};
#[cfg(feature = "component")]
pub use {cistern_stages as stages, rt, stubs};

#[cfg(feature = "component")]
extern crate alloc;

/// A component that is one stage, by the stage and the name of the functions that run it and that
/// say what it needs.
#[macro_export]
macro_rules! component {
    ($stage:ident, $run:ident) => {
        use $crate::{rt, stages, stubs};

        rt::component! {
            start: start,
            serve: { stubs::stage::INTERFACE => serve }
        }

        fn start(_: &'static rt::abi::start::StartInfo) -> Result<(), rt::abi::Error> {
            Ok(())
        }

        fn serve(call: rt::Call) -> rt::Reply {
            let service = $crate::Service {
                stage: stages::Stage::$stage,
                run: stages::$run,
                need: $crate::need::$run,
            };
            stubs::stage::serve(&service, call)
        }
    };
}
