//! Everything that the server asks of its world. The binary answers with the network stack, the
//! content and the CGI component; host tests answer with fakes.

use alloc::vec::Vec;
use core::ops::{DerefMut, Range};

/// Immutable bytes that are shared by reference.
pub trait Buffer: Clone {
    fn bytes(&self) -> &[u8];
    /// A part, sharing the memory. The range lies inside.
    fn slice(&self, range: Range<usize>) -> Self;
}

/// Bytes in one page.
pub const PAGE_BYTES: usize = 4096;

pub trait Platform {
    type Buffer: Buffer;
    /// [`PAGE_BYTES`] writable bytes.
    type Page: DerefMut<Target = [u8]>;

    /// A page to write heads into. `None` while the pool is exhausted; does not wait.
    fn page(&mut self) -> Option<Self::Page>;
    /// Makes the first `bytes` of a page immutable.
    fn freeze(&mut self, page: Self::Page, bytes: usize) -> Self::Buffer;
    /// Asks the content component, in as few invocations as it takes. What gets no answer has
    /// failed, or, if `true` is answered, lacked memory. Both drain what is asked.
    fn lookup(
        &mut self,
        asked: &mut Vec<Lookup<Self::Buffer>>,
        found: &mut Vec<Found<Self::Buffer>>,
    ) -> bool;
    /// Asks the CGI component likewise.
    fn run(
        &mut self,
        asked: &mut Vec<Run<Self::Buffer>>,
        pages: &mut Vec<Page<Self::Buffer>>,
    ) -> bool;
    /// What the observer tells of the machine and of `own` figures, which are numbered as in
    /// [`observe::served`]: media number and text.
    fn report(&mut self, format: Format, own: &[(u32, u64)]) -> Result<(u32, Self::Buffer), Lack>;
    /// Hands a choice of policy on: status and a sentence. `None` where nobody answers.
    fn choose(&mut self, words: &[u8]) -> Option<(u32, Self::Buffer)>;
    /// Hands pieces of uploads to whoever makes panoramas, and takes the answers that are done.
    /// Drains the pieces. `false` where nobody answers.
    fn stitch(
        &mut self,
        pieces: &mut Vec<Piece<Self::Buffer>>,
        stretches: &mut Vec<Stretch<Self::Buffer>>,
    ) -> bool;
    /// A clock for durations, and its rate.
    fn ticks() -> u64;
    fn ticks_per_second() -> u64;
    /// How many clients wait for a free place.
    fn waiting(&mut self) -> u32;
    /// Counters of the rest of the machine.
    fn machine(&mut self) -> Machine;
}

/// Why there is no report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lack {
    /// There is no memory for it now.
    Memory,
    /// Nobody answers.
    Answer,
}

/// What the observer writes, numbered as in its interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum Format {
    Prometheus = 1,
    Json = 2,
}

impl Format {
    pub const ALL: [Self; 2] = [Self::Prometheus, Self::Json];
}

/// A file that is wanted, from one of its bytes on. `token` comes back with the answer.
pub struct Lookup<B> {
    pub token: u32,
    pub path: B,
    pub from: u32,
}

/// The content component's answer.
pub struct Found<B> {
    pub token: u32,
    /// 200 or 404.
    pub status: u32,
    pub media: u32,
    pub modified: u64,
    pub tag: u64,
    /// Of the whole file.
    pub bytes: u32,
    /// As many bytes from the one that was asked for on as there is memory for.
    pub body: Option<B>,
}

/// A dynamic page that is wanted, from one of its bytes on.
pub struct Run<B> {
    pub token: u32,
    pub head_only: bool,
    pub query: Option<B>,
    pub from: u32,
}

/// The CGI component's answer.
pub struct Page<B> {
    pub token: u32,
    pub status: u32,
    pub media: u32,
    /// Of the whole page.
    pub bytes: u32,
    pub body: Option<B>,
}

/// What a piece of an upload is, numbered as in the interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum PieceKind {
    /// It begins: its content type, and the length of its body as the argument.
    Begin = 1,
    More = 2,
    End = 3,
    /// Nobody waits for it any more.
    Forget = 4,
    /// Nobody waits for any.
    ForgetAll = 5,
}

/// A piece of an upload.
pub struct Piece<B> {
    pub job: u32,
    pub kind: PieceKind,
    pub argument: u64,
    pub data: Option<B>,
}

impl<B> Piece<B> {
    pub fn new(job: u32, kind: PieceKind) -> Self {
        Self {
            job,
            kind,
            argument: 0,
            data: None,
        }
    }
}

/// A stretch of an upload's answer.
pub struct Stretch<B> {
    pub job: u32,
    pub status: u32,
    pub media: u32,
    /// How many follow.
    pub more: u32,
    pub timing: Option<B>,
    pub body: Option<B>,
}

/// What happened on a socket.
pub enum Event<B> {
    Accepted {
        socket: u32,
    },
    Received {
        socket: u32,
        data: B,
    },
    /// So many bytes have left, and nothing is queued now.
    Drained {
        socket: u32,
        bytes: u32,
    },
    /// The peer sends no more.
    PeerClosed {
        socket: u32,
    },
    /// The socket number may be used again.
    Gone {
        socket: u32,
    },
}

/// What the network stack is to do, numbered as in its interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum CommandKind {
    Send = 1,
    Close = 2,
    Abort = 3,
    Took = 4,
}

pub struct Command<B> {
    pub kind: CommandKind,
    pub socket: u32,
    pub argument: u32,
    pub data: Option<B>,
}

/// Time as the server needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clock {
    /// Milliseconds since some moment before the server started; never goes back.
    pub ms: u64,
    /// Seconds since 1970.
    pub wall_seconds: u64,
}

/// Counters from outside, `None` where the image has no one who tells.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    pub space_switches: Option<u64>,
    pub invocations: Option<u64>,
    pub capabilities: Option<u64>,
    /// Copied payload bytes, frames received, frames sent, sockets in use.
    pub net: Option<[u64; 4]>,
    /// CBUF pages: free, total, live, pooled.
    pub cbuf_pages: Option<[u64; 4]>,
    /// Pages that nobody was given.
    pub free_pages: Option<u64>,
}
