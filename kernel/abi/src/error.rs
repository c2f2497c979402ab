//! Every error a system call can give, one sentence each.

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Why a system call was refused. Nothing has changed when one is returned, except for
        /// [`Error::Again`].
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(u64)]
        pub enum Error { $($(#[$doc])* $name = $number,)* }

        impl Error {
            /// `Ok` for 0, the error for its number; a number nobody gave is `Unknown`.
            pub const fn check(raw: u64) -> Result<(), Error> {
                match raw { 0 => Ok(()), $($number => Err(Error::$name),)* _ => Err(Error::Unknown) }
            }
            /// One sentence for a person.
            pub const fn text(self) -> &'static str {
                match self { $(Error::$name => $text,)* }
            }
        }
    };
}

errors! {
    NoCapability = 1, "no capability lies at that address";
    WrongType = 2, "the capability is of another type than the operation needs";
    BadOperation = 3, "the capability has no such operation";
    NoRight = 4, "the capability lacks the right that the operation needs";
    SlotInUse = 5, "the destination slot is not empty";
    BadSlot = 6, "the destination is not a slot of that CSpace";
    BadRetype = 7, "that type cannot be made from the source's type";
    BadSize = 8, "the size is zero, too large, or no power of two where one is needed";
    BadAlign = 9, "the offset or address is not aligned as the type needs";
    OutOfRange = 10, "the range leaves the object";
    Overlaps = 11, "the range already has descendants";
    EntryInUse = 12, "a page-table entry of the range is in use";
    EntryEmpty = 13, "a page-table entry of the range is empty";
    NotMapped = 14, "the mapping is not of that page table";
    BadFlags = 15, "the flags ask for writable and executable at once, or for more than the capability allows";
    BadArgument = 16, "an argument has no meaning";
    /// Bounded work was done and more is left: issue the same call again.
    Again = 17, "there is more to do, call again";
    Dead = 18, "the component died";
    TooDeep = 19, "the invocation stack is full, but for the reserve";
    BadState = 20, "the object is not in a state that allows this";
    NotSupported = 21, "this machine cannot do that";
    NoMemory = 22, "there is no memory left for this";
    TimedOut = 23, "the deadline passed";
    BadBuffer = 24, "a buffer is unknown, too small, or not the caller's to pass";
    BadMethod = 25, "the interface has no such method";
    Refused = 26, "the callee refuses this caller";
    NotFound = 27, "there is no such thing";
    Busy = 28, "the resource is in use";
    Unknown = 29, "an unknown error";
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}
