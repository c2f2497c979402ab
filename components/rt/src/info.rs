//! What `init` tells the component: its start information page.

use core::sync::atomic::{AtomicPtr, Ordering};

use abi::start::{Grant, NAME_BYTES, Name, StartInfo};
use abi::{CPtr, ComponentId, layout};

/// Where the start information lies. `init`, which has none, makes its own and installs it.
static INFO: AtomicPtr<StartInfo> = AtomicPtr::new(layout::START_INFO as *mut StartInfo);

/// An interface that this component may invoke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Import {
    pub entry: CPtr,
    /// Who provides it: the receiver to name when a CBUF is sent.
    pub peer: ComponentId,
}

/// The start information.
#[inline]
pub fn info() -> &'static StartInfo {
    // Relaxed: changes once, before the component has a second thread.
    let info = INFO.load(Ordering::Relaxed);
    // SAFETY: `init` maps a valid StartInfo at the initial address before the component runs and
    // never unmaps it; `install` replaces it by a static only.
    unsafe { &*info }
}

/// Replaces the start information. For `init` alone.
pub fn install(info: &'static StartInfo) {
    // Relaxed: see `info`.
    INFO.store(core::ptr::from_ref(info).cast_mut(), Ordering::Relaxed);
}

/// The Entry of an interface, by its name; `None` where the image grants no such import.
pub fn import(name: &str) -> Option<Import> {
    imports(name).next()
}

/// The Entries of an interface that several components provide.
pub fn imports(name: &str) -> impl Iterator<Item = Import> {
    let info = info();
    let all = info.imports.get(..usize::from(info.imports_len));
    let these = all.unwrap_or(&[]).iter().filter(|i| is(&i.interface, name));
    these.map(|import| Import {
        entry: import.entry,
        peer: import.peer,
    })
}

/// A granted object by its name.
pub fn grant(name: &str) -> Option<&'static Grant> {
    grants().iter().find(|g| is(&g.name, name))
}

/// Everything granted, in the order of the table.
pub fn grants() -> &'static [Grant] {
    let info = info();
    info.grants
        .get(..usize::from(info.grants_len))
        .unwrap_or(&[])
}

/// The argument string that the image and the kernel command line give this component.
pub fn arguments() -> &'static str {
    let info = info();
    let bytes = info.arguments.get(..usize::from(info.arguments_len));
    core::str::from_utf8(bytes.unwrap_or(&[])).unwrap_or("")
}

/// The value of `key` in the arguments (`key=value`, separated by spaces); the last one counts.
pub fn argument(key: &str) -> Option<&'static str> {
    arguments().split_ascii_whitespace().rev().find_map(|word| {
        let (name, value) = word.split_once('=')?;
        (name == key).then_some(value)
    })
}

fn is(name: &Name, text: &str) -> bool {
    text.len() <= NAME_BYTES && name.as_str() == text
}
