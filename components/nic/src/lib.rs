//! The network driver: virtio-net over modern PCI (VIRTIO 1.2), in a protection domain that
//! holds one device's registers, one interrupt and a pool of CBUFs.
//!
//! Guarantees: the device is given physical addresses of CBUFs only, each held for as long as
//! the device may use it; whatever the device writes (used ids, lengths, capability lists,
//! indices) is checked, and nonsense is counted and dropped; so is what a client asks the device
//! to do to a frame; interrupts are asked for only while
//! a thread waits; a full transmit ring is waited for, not dropped from.
//! Trusts: the CBUF manager's physical addresses, and that `init` bound MSI-X entry 0 to the
//! granted interrupt. Never does: look into a frame, allocate DMA memory but from CBUFs, write
//! PCI configuration space. The rings are our own rather than a crate's because buffers here are
//! named by handles and their addresses come from the manager, not from a pointer.

#![no_std]

extern crate alloc;

pub mod addresses;
pub mod device;
pub mod driver;
pub mod mmio;
pub mod offload;
pub mod pci;
pub mod queue;
