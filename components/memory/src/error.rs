//! Every error of the library, one sentence each.

/// Why something was refused. Nothing has changed when one is returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// Not enough of the component's Ram is free, or not in one piece, or not of that colour.
    NoMemory,
    /// The component's CSpace is full.
    NoSlots,
    /// No range of addresses is free that is large enough.
    NoAddresses,
    /// As many regions or objects as the space was made for.
    TooMany,
    /// The component's heap, where the library keeps its books, is exhausted.
    NoHeap,
    NoObject,
    NoRegion,
    /// The object is mapped.
    InUse,
    /// Zero, or not whole pages.
    BadSize,
    /// An address or offset that is no multiple of the page size.
    BadAlign,
    /// Past the end of the object, the region, or the component's own addresses.
    OutOfRange,
    /// Colours are for 4 KiB pages; a set of them must not be empty.
    BadColours,
    /// The object's memory does not come in pages of that size.
    BadPage,
    /// The processor has no 1 GiB pages.
    NotSupported,
    /// The memory, its table or the right `cspace` was not granted.
    NotGranted,
    /// The backing store could not read or write a page.
    Store,
    /// The kernel refused.
    Kernel(abi::Error),
}

impl Error {
    /// One sentence for a person.
    pub const fn text(self) -> &'static str {
        match self {
            Error::NoMemory => "no free memory of that size and colour is left",
            Error::NoSlots => "the CSpace has no room for another capability",
            Error::NoAddresses => "no free range of addresses is large enough",
            Error::TooMany => "the space was made for fewer regions or objects",
            Error::NoHeap => "the component's heap is exhausted",
            Error::NoObject => "there is no such memory object",
            Error::NoRegion => "there is no region at that address",
            Error::InUse => "the object is still mapped",
            Error::BadSize => "the size is zero or not whole pages",
            Error::BadAlign => "the address or offset is no multiple of the page size",
            Error::OutOfRange => "the range leaves the object, the region or the address space",
            Error::BadColours => "colours are for 4 KiB pages, and at least one is needed",
            Error::BadPage => "the object's memory does not come in pages of that size",
            Error::NotSupported => "this processor has no 1 GiB pages",
            Error::NotGranted => "the image grants this component no memory of its own",
            Error::Store => "the backing store could not read or write a page",
            Error::Kernel(error) => error.text(),
        }
    }
}

impl From<abi::Error> for Error {
    fn from(error: abi::Error) -> Error {
        Error::Kernel(error)
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}
