//! Kernel objects that live in memory which user code retyped for them.

pub mod component;
pub mod registry;
pub mod thread;

pub use component::Component;
pub use thread::Thread;
