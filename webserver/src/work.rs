//! A request that is understood and not yet answered.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::cache::File;
use crate::condition::Condition;
use crate::platform::Format;
use crate::response::Connection;
use crate::status::{Refusal, Status};

pub struct Work<B> {
    /// Place of the connection, and which of the connections that were ever there.
    pub place: usize,
    pub generation: u64,
    /// HEAD: the answer has the head of GET's and no body.
    pub head_only: bool,
    /// What happens to the connection when the answer is out.
    pub connection: Connection,
    pub kind: Kind<B>,
    /// When it was understood, in ticks.
    pub since: u64,
}

/// What the answer is, or who is to say.
pub enum Kind<B> {
    /// To ask the content component.
    Lookup {
        path: Option<B>,
        condition: Option<Box<Condition>>,
    },
    /// To ask the CGI component; asked again for a while when it has no memory.
    Run {
        query: Option<B>,
        since_ms: u64,
        /// It had no memory the last time.
        again: bool,
    },
    File(Rc<File<B>>),
    NotModified(Rc<File<B>>),
    /// A body from a component, of no file.
    Page {
        status: Status,
        media: u32,
        body: Option<B>,
    },
    Stats,
    /// To ask the observer.
    Report(Format),
    /// To hand on to the observer.
    Choice {
        words: Vec<u8>,
    },
    /// An upload, which goes on or is being worked on.
    Upload {
        job: u32,
    },
    Made(Made<B>),
    Refused(Refusal),
    /// 100 Continue: the answer proper follows.
    Continue,
}

/// What became of an upload.
pub struct Made<B> {
    pub status: Status,
    pub media: u32,
    /// A value for the field `Server-Timing`.
    pub timing: Option<B>,
    /// The body, in as many buffers as it came.
    pub body: Vec<B>,
}
