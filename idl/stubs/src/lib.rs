//! One module for each file in `idl/interfaces`, made by the interface compiler: constants, the
//! structs of its batches, a `Client`, a trait `Server` and a function `serve`. A new file
//! becomes a module with no other edit. The language and what the stubs do: `docs/idl.md`.
//!
//! Guarantees: a buffer argument is sent with `cbuf_send` by the stub and received with
//! `cbuf2buf`, from the caller alone and its size checked, by the skeleton; no word or record from
//! another component is used before it is checked; an unknown method is an error.
//! Trusts: `libcbuf` and the runtime.
//! Never does: keeps state, allocates, blocks by itself.
//! Source: CBUFs, section 2.

#![no_std]
#![forbid(unsafe_code)]

pub mod wire;

include!(concat!(env!("OUT_DIR"), "/interfaces.rs"));

/// The runtime invokes two interfaces by raw numbers, since the stubs are built on it: the numbers are
/// those of the interface files, or nothing compiles.
macro_rules! agree {
    ($($interface:ident: $($method:ident)*;)*) => {
        $($(const _: () = assert!(
            $interface::method::$method == rt::$interface::method::$method,
            concat!(stringify!($interface), " ", stringify!($method), ": insert at the end"),
        );)*)*
    };
}

agree! {
    cbuf: COLLECT MAP RELINQUISH PHYSICAL MEMORY SEAL ALLOC_OWNED FREE_OWNED;
    sched: YIELD_NOW BLOCK BLOCK_ON WAKE WAIT_IRQ KERNEL_STAT PRIORITY RAN;
}
