//! Kernel objects that live in memory which user code retyped for them.
//!
//! **Pointers to objects.** Every `*mut Component` and `*mut Thread` in this kernel comes from a
//! capability of that type, which was looked up in this same entry; or from the core's own state or
//! an object's, where `platform` replaces it before the memory can become something else. So it points to memory
//! that was zero when it became an object, is a page long and as aligned, and is written by this
//! core's kernel alone. (Of a Component, the first slots are the capability system's.) Zero bytes
//! are a value of either type. Functions that take such a pointer rest on that.

pub mod component;
pub mod line;
pub mod registry;
pub mod thread;

pub use component::Component;
pub use thread::Thread;
