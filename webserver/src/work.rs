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
    /// What is asked for later: all of a body for which there is no memory, or what follows the
    /// first piece of one that does not come in one piece.
    pub rest: Option<Box<Rest<B>>>,
}

/// A body that is asked for later, piece by piece, each when the last one has left. Between the
/// questions it keeps no buffer: who waits for memory shall not be why there is none.
pub struct Rest<B> {
    /// A path for the content component, a query for the CGI component.
    pub text: Vec<u8>,
    /// That of the file; `None` for a dynamic page.
    pub tag: Option<u64>,
    /// Of the whole body, and of what was sent.
    pub bytes: u32,
    pub sent: u32,
    pub next: Next<B>,
    /// Since when there is no memory for the next piece, and when it is asked for again, in
    /// milliseconds.
    pub lacks_since_ms: Option<u64>,
    pub again_ms: u64,
}

/// What is known of the next piece.
pub enum Next<B> {
    Unknown,
    /// To ask, with the text in a buffer unless it is empty.
    Ready(Option<B>),
    /// It has been asked for.
    Asked,
    Here(B),
    /// It will not come.
    Lost,
}

/// What the answer is, or who is to say.
pub enum Kind<B> {
    /// To ask the content component.
    Lookup {
        path: Option<B>,
        condition: Option<Box<Condition>>,
    },
    /// To ask the CGI component; nothing is an empty query.
    Run {
        query: Option<B>,
    },
    File(Rc<File<B>>),
    NotModified(Rc<File<B>>),
    /// An answer whose beginning has been sent: its [`Work::rest`] follows.
    Rest,
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
