//! The image pipeline's stages as components.
//!
//! Guarantees: a stage has the parts that it was given, its own memory, and nothing else; it keeps
//! no part after it answered; whatever it is given, it answers or dies alone.
//! Trusts: the CBUF manager. Never does: know who invokes it, or hold memory between two runs.
//!
//! What the stages do is in `cistern-stages`; each program links its own alone.

#![no_std]
#![forbid(unsafe_code)]

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

/// A component that is one stage, by the stage and the function that runs it.
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
            let service = $crate::Service::new(stages::Stage::$stage, stages::$run);
            stubs::stage::serve(&service, call)
        }
    };
}
