//! Single capabilities: roots at boot, copy, move, identify, and what is made without memory.

use crate::captype::{Equality, MAX_END, Size, info};
use crate::cspace::check_empty;
use crate::mapping;
use crate::slot::{Cap, SlotRef};
use crate::{Caps, Platform};
use abi::captype::CapType;
use abi::{Error, Rights};

/// What `identify` tells user code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    pub ty: CapType,
    pub rights: Rights,
    /// Of an Entry this and the next are 0: whose component it is shall not be seen.
    pub base: u64,
    pub bytes: u64,
    /// Mapping: first entry | entries << 16 | offset in the frame, in pages << 32. Irq: the first
    /// of its words. Otherwise 0.
    pub specific: u64,
}

impl<P: Platform> Caps<P> {
    /// Boot only: a capability that comes from none. `ty` is a type whose memory or resource is
    /// there from the start: Ram, DevFrame, IoPorts, Kernel, Console.
    ///
    /// Errors: `SlotInUse`, `BadRetype` for another type, `BadSize`, `BadAlign`, `OutOfRange`,
    /// `Overlaps` with anything that exists.
    pub fn insert_root(
        &mut self,
        dest: SlotRef,
        ty: CapType,
        base: u64,
        bytes: u64,
    ) -> Result<(), Error> {
        check_empty(dest)?;
        let line = info(ty);
        let is_root = matches!(
            ty,
            CapType::Ram
                | CapType::DevFrame
                | CapType::IoPorts
                | CapType::Kernel
                | CapType::Console
        );
        if !is_root {
            return Err(Error::BadRetype);
        }
        let bytes = line.object_bytes(bytes)?;
        if base & (line.alignment() - 1) != 0 {
            return Err(Error::BadAlign);
        }
        let limit = match line.size {
            Size::Multiple { limit, .. } => limit,
            Size::Fixed(_) => MAX_END,
        };
        if base.checked_add(bytes).is_none_or(|end| end > limit) {
            return Err(Error::OutOfRange);
        }
        let cap = Cap {
            ty,
            rights: Rights::all(),
            base,
            bytes,
            ..Cap::NULL
        };
        let other = self.mdb.first_reaching(line.tree, base);
        if other.is_some_and(|slot| slot.base() < cap.end()) {
            return Err(Error::Overlaps);
        }
        if ty == CapType::Ram {
            self.ram += bytes;
        }
        self.mdb.insert(dest, &cap);
        Ok(())
    }

    /// Copies a capability with the rights of `mask` at most. `foreign`: `dest` is in another
    /// CSpace than the caller's.
    ///
    /// Errors: `NoCapability`, `SlotInUse`, `WrongType` (a mapping), `NoRight` (no GRANT, though
    /// foreign).
    pub fn copy(
        &mut self,
        dest: SlotRef,
        source: SlotRef,
        mask: Rights,
        foreign: bool,
    ) -> Result<(), Error> {
        if source.ty() == CapType::Null {
            return Err(Error::NoCapability);
        }
        if !info(source.ty()).copyable {
            return Err(Error::WrongType);
        }
        if foreign {
            source.need(Rights::GRANT)?;
        }
        check_empty(dest)?;
        let mut cap = source.cap();
        cap.rights &= mask;
        self.mdb.insert_copy(dest, &cap, source);
        Ok(())
    }

    /// Moves a capability to an empty slot.
    ///
    /// Errors: `NoCapability`, `WrongType` (a type that stays), `SlotInUse`.
    pub fn move_to(&mut self, dest: SlotRef, source: SlotRef) -> Result<(), Error> {
        if source.ty() == CapType::Null {
            return Err(Error::NoCapability);
        }
        if !info(source.ty()).movable {
            return Err(Error::WrongType);
        }
        check_empty(dest)?;
        self.mdb.replace(source, dest);
        Ok(())
    }

    /// What a slot holds. Errors: `NoCapability`.
    pub fn identify(&self, slot: SlotRef) -> Result<Identity, Error> {
        let cap = slot.cap();
        let identity = Identity {
            ty: slot.ty(),
            rights: cap.rights,
            base: cap.base,
            bytes: cap.bytes,
            specific: 0,
        };
        match slot.ty() {
            CapType::Null => Err(Error::NoCapability),
            CapType::Entry => Ok(Identity {
                base: 0,
                bytes: 0,
                ..identity
            }),
            CapType::Irq => Ok(Identity {
                specific: cap.data[0],
                ..identity
            }),
            ty if info(ty).is_mapping() => Ok(Identity {
                specific: mapping::describe(&cap),
                ..identity
            }),
            _ => Ok(identity),
        }
    }

    /// Makes an Entry to a component: invoking it continues at `address` with `badge`. It is a
    /// descendant of the Component and goes when that goes.
    ///
    /// Errors: `WrongType`, `NoRight` (WRITE on the Component), `SlotInUse`.
    pub fn make_entry(
        &mut self,
        dest: SlotRef,
        component: SlotRef,
        address: u64,
        badge: u64,
    ) -> Result<(), Error> {
        if component.ty() != CapType::Component {
            return Err(Error::WrongType);
        }
        component.need(Rights::WRITE)?;
        self.derive(dest, component, CapType::Entry, [address, badge])
    }

    /// Makes an Irq of a core, a descendant of that core's Kernel capability. The kernel chooses
    /// the words (the first is what `identify` shows) and must not use a pair twice.
    ///
    /// Errors: `WrongType`, `NoRight` (WRITE on the Kernel), `SlotInUse`.
    pub fn make_irq(
        &mut self,
        dest: SlotRef,
        kernel: SlotRef,
        words: [u64; 2],
    ) -> Result<(), Error> {
        if kernel.ty() != CapType::Kernel {
            return Err(Error::WrongType);
        }
        kernel.need(Rights::WRITE)?;
        self.derive(dest, kernel, CapType::Irq, words)
    }

    fn derive(
        &mut self,
        dest: SlotRef,
        parent: SlotRef,
        ty: CapType,
        data: [u64; 2],
    ) -> Result<(), Error> {
        check_empty(dest)?;
        debug_assert!(info(ty).equality == Equality::RegionAndData);
        let cap = Cap {
            ty,
            data,
            extra: 0,
            ..parent.cap()
        };
        self.mdb.insert(dest, &cap);
        Ok(())
    }
}
