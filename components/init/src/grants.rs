//! A component's CSpace and start information: every capability it gets is put in here.

use abi::start::{
    ARGUMENT_BYTES, Grant, Import, MAGIC, MAX_GRANTS, MAX_IMPORTS, Name, StartInfo, slot,
};
use abi::{CPtr, ComponentId, Rights};
use alloc::format;
use manifest::Component;
use rt::cap;

use crate::trouble::{Doing, Result, Trouble};

/// All rights, for capabilities that change hands whole.
pub const ALL: Rights = Rights::all();

/// What one component will find when it starts.
pub struct Grants {
    cspace: CPtr,
    next: CPtr,
    pub info: StartInfo,
}

const NO_IMPORT: Import = Import {
    interface: Name::EMPTY,
    entry: CPtr::NULL,
    peer: ComponentId::INIT,
    reserved: 0,
};

const NO_GRANT: Grant = Grant {
    name: Name::EMPTY,
    cap: CPtr::NULL,
    reserved: 0,
    base: 0,
    bytes: 0,
};

/// Start information that grants nothing.
pub const fn nothing(id: ComponentId, name: Name) -> StartInfo {
    StartInfo {
        magic: MAGIC,
        id,
        imports_len: 0,
        grants_len: 0,
        arguments_len: 0,
        name,
        tsc_hz: 0,
        epoch_tsc: 0,
        epoch_seconds: 0,
        heap_bytes: 0,
        stack_bytes: 0,
        pool_pages: 0,
        imports: [NO_IMPORT; MAX_IMPORTS],
        grants: [NO_GRANT; MAX_GRANTS],
        arguments: [0; ARGUMENT_BYTES],
    }
}

/// A name as start information holds it.
pub fn name(text: &str) -> Result<Name> {
    Name::new(text).ok_or_else(|| Trouble::new(format!("the name '{text}' is too long")))
}

impl Grants {
    pub fn new(id: ComponentId, component: &Component, cspace: CPtr) -> Result<Self> {
        let mut info = nothing(id, name(&component.name)?);
        info.heap_bytes = component.heap_bytes;
        info.stack_bytes = component.stack_bytes;
        info.pool_pages = component.pool.map_or(0, |p| p.pages);
        Ok(Self {
            cspace,
            next: slot::FIRST_GRANTED,
            info,
        })
    }

    fn slot(&mut self) -> CPtr {
        let slot = self.next;
        self.next = slot.plus(1);
        slot
    }

    /// Puts a copy of one of init's capabilities in a slot that is fixed.
    pub fn fixed(&mut self, slot: CPtr, capability: CPtr) -> Result<()> {
        cap::copy(self.cspace, slot, capability, ALL).doing("copy a capability")
    }

    /// The same for what others have as well: without the right to take it back from them.
    pub fn shared(&mut self, slot: CPtr, capability: CPtr) -> Result<()> {
        self.lesser(slot, capability, ALL.difference(Rights::GRANT))
    }

    /// The same with some of the rights.
    pub fn lesser(&mut self, slot: CPtr, capability: CPtr, rights: Rights) -> Result<()> {
        cap::copy(self.cspace, slot, capability, rights).doing("copy a capability")
    }

    /// Makes an Entry of `provider` with the badge and names it as an import.
    pub fn import(
        &mut self,
        interface: &str,
        provider: CPtr,
        peer: ComponentId,
        badge: abi::Badge,
    ) -> Result<()> {
        let entry = self.slot();
        cap::component::make_entry(provider, self.cspace, entry, badge).doing("make an entry")?;
        let at = usize::from(self.info.imports_len);
        let import = self.info.imports.get_mut(at);
        *import.ok_or_else(|| Trouble::new("it has too many imports"))? = Import {
            interface: name(interface)?,
            entry,
            peer,
            reserved: 0,
        };
        self.info.imports_len += 1;
        Ok(())
    }

    /// Grants a copy of a capability (or, with [`CPtr::NULL`], only two numbers) by name.
    pub fn grant(&mut self, text: &str, capability: CPtr, base: u64, bytes: u64) -> Result<()> {
        let cap = if capability == CPtr::NULL {
            CPtr::NULL
        } else {
            let slot = self.slot();
            self.fixed(slot, capability)?;
            slot
        };
        let at = usize::from(self.info.grants_len);
        let grant = self.info.grants.get_mut(at);
        *grant.ok_or_else(|| Trouble::new("it is granted too many things"))? = Grant {
            name: name(text)?,
            cap,
            reserved: 0,
            base,
            bytes,
        };
        self.info.grants_len += 1;
        Ok(())
    }

    /// How many more grants there is room for.
    pub fn room(&self) -> usize {
        MAX_GRANTS - usize::from(self.info.grants_len)
    }

    /// Adds words to the arguments.
    pub fn arguments(&mut self, text: &str) -> Result<()> {
        let at = usize::from(self.info.arguments_len);
        let space = usize::from(at > 0);
        let room = self.info.arguments.get_mut(at..at + space + text.len());
        let room = room.ok_or_else(|| Trouble::new("its arguments are too long"))?;
        if let Some((first, rest)) = room.split_at_mut_checked(space) {
            first.fill(b' ');
            rest.copy_from_slice(text.as_bytes());
        }
        self.info.arguments_len += (space + text.len()) as u16;
        Ok(())
    }

    /// The start information as bytes.
    pub fn bytes(&self) -> &[u8] {
        let info = &raw const self.info;
        // SAFETY: a `repr(C)` struct of numbers and arrays without padding (see below), alive as
        // long as the slice.
        unsafe { core::slice::from_raw_parts(info.cast(), size_of::<StartInfo>()) }
    }
}

// Fixed numbers, then the three arrays: every byte of the page's structure is some field's.
const _: () = assert!(
    size_of::<StartInfo>()
        == 8 + 4 * 2
            + size_of::<Name>()
            + 6 * 8
            + MAX_IMPORTS * (size_of::<Name>() + 8)
            + MAX_GRANTS * (size_of::<Name>() + 24)
            + ARGUMENT_BYTES
);
