//! What must have come of the meddling, or it tries too little.

use abi::Error;
use hostile::tally::Outcome;

/// What must have happened at least once with the seed that is the meddler's own.
pub const HAPPENED: &[Outcome] = &[
    ("cspace", "COPY", Ok(())),
    ("cspace", "RETYPE", Ok(())),
    ("cspace", "RETYPE", Err(Error::Overlaps)),
    ("cspace", "RETYPE", Err(Error::Again)),
    ("cspace", "DELETE", Ok(())),
    ("cspace", "DELETE", Err(Error::Again)),
    ("cspace", "REVOKE", Ok(())),
    ("cspace", "REVOKE", Err(Error::Again)),
    ("cspace", "INSTALL_L2", Ok(())),
    ("cspace", "MOVE", Ok(())),
    ("cspace", "ADOPT", Ok(())),
    ("cspace", "RESIZE", Ok(())),
    ("table", "MAP", Ok(())),
    ("table", "MAP", Err(Error::EntryInUse)),
    ("table", "UNMAP", Ok(())),
    ("table", "MODIFY", Ok(())),
    ("table", "CLEAR_DIRTY", Ok(())),
    ("table", "READ", Ok(())),
    ("mapping", "MODIFY", Ok(())),
    ("mapping", "DESTROY", Ok(())),
    ("component", "CONFIGURE", Ok(())),
    ("component", "MAKE_ENTRY", Ok(())),
    ("component", "KILL", Ok(())),
    ("component", "REVIVE", Ok(())),
    ("component", "IDENTIFY", Ok(())),
    ("thread", "CONFIGURE", Ok(())),
    ("thread", "SWITCH", Ok(())),
    ("thread", "IDENTIFY", Ok(())),
    ("kernel", "RECLAIM", Ok(())),
    ("kernel", "RECLAIM", Err(Error::Again)),
    ("kernel", "CLAIM", Ok(())),
    ("kernel", "CLAIM", Err(Error::Overlaps)),
    ("kernel", "CLAIM", Err(Error::Again)),
];

/// One of those that never happened.
pub struct Missing(pub Outcome);

impl core::fmt::Display for Missing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (interface, name, result) = self.0;
        write!(f, "{interface} {name} never ended with {result:?}")
    }
}
