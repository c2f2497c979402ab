//! What soakers and their conductor both do with buffers.

use crate::{Random, fill, is_whole};
use abi::start::Import;
use abi::{ComponentId, Error};
use rt::cbuf::{Buffer, Cbuf};
use rt::sync::Mutex;
use stubs::{soak, wire};

const WORD: u64 = 8;
/// Up to four pages, more often few.
const LONGEST: u64 = 4 * 4096;
/// Buffers that a component keeps.
const KEPT: usize = 12;

/// A new buffer, whole; with `wait`, blocks while there is no memory.
pub fn fresh(random: &mut Random, wait: bool) -> Result<Cbuf<'static>, Error> {
    let longest = 1 + random.below(LONGEST / WORD);
    let len = ((1 + random.below(longest)) * WORD) as usize;
    let client = rt::cbuf::client();
    let mut buffer = match wait {
        true => Buffer::alloc(client, len)?,
        false => Buffer::try_alloc(client, len)?,
    };
    fill(&mut buffer[..len], random.word());
    Ok(buffer.freeze(len))
}

/// Says so where a buffer is not what it was when it was filled.
pub fn check(cbuf: &Cbuf<'_>, wherever: &str) {
    if !is_whole(cbuf) {
        rt::println!("TEST whole FAILED buffer {} {wherever}", cbuf.id().0);
    }
}

/// The soakers that this component may invoke.
pub fn others() -> impl Iterator<Item = &'static Import> + Clone {
    let info = rt::info();
    let imports = info.imports[..usize::from(info.imports_len)].iter();
    imports.filter(|i| i.interface.as_str() == soak::NAME)
}

/// Has another component take a buffer; what it answers. Says so where one of the two was lost on
/// its way between the living.
pub fn pass(to: &Import, cbuf: &Cbuf<'static>, dice: u64) -> Result<Cbuf<'static>, Error> {
    let answer = exchange(to, cbuf, dice);
    match answer {
        Ok(_) | Err(Error::Dead) => {}
        Err(error) => rt::println!("TEST lost FAILED buffer {}: {error}", cbuf.id().0),
    }
    answer
}

fn exchange(to: &Import, cbuf: &Cbuf<'static>, dice: u64) -> Result<Cbuf<'static>, Error> {
    let sent = wire::send(cbuf, to.peer);
    let args = [sent[0], sent[1], dice, 0];
    let reply = rt::attempt(to.entry, soak::method::PASS, args)
        .map_err(|failure| wire::failed(failure, || wire::take_back(sent)))?;
    wire::receive(reply[0], reply[1], to.peer)
}

/// Sends a buffer and lets go of it, long before it is received.
pub fn post(to: &Import, cbuf: Cbuf<'static>) -> Result<(), Error> {
    let sent = wire::send(&cbuf, to.peer);
    let args = [sent[0], sent[1], 0, 0];
    // Held until it is there: what is nobody's, and on its way to a component that died, may end
    // before it is taken back, and its id be another buffer's.
    let posted = rt::attempt(to.entry, soak::method::POST, args)
        .map(drop)
        .map_err(|failure| wire::failed(failure, || wire::take_back(sent)));
    drop(cbuf);
    posted
}

/// What was sent here and not received yet: from whom, and its words.
pub struct Mail(Mutex<[Option<Letter>; LETTERS]>);
pub type Letter = (ComponentId, [u64; 2]);
const LETTERS: usize = 8;

impl Mail {
    #[expect(clippy::new_without_default, reason = "made in statics alone")]
    pub const fn new() -> Self {
        Self(Mutex::new([None; LETTERS]))
    }

    /// Puts a letter in a random place, and receives what was there.
    pub fn put(&self, random: &mut Random, letter: Letter) {
        let place = random.below(LETTERS as u64) as usize;
        let old = self.0.lock()[place].replace(letter);
        old.into_iter().for_each(open);
    }

    /// Receives all that came; answers how many those were.
    pub fn open(&self) -> usize {
        let all = core::mem::replace(&mut *self.0.lock(), [None; LETTERS]);
        all.into_iter().flatten().map(open).count()
    }
}

/// Receives what was sent here, which must be whole.
fn open((from, [what, offset]): Letter) {
    match wire::receive(what, offset, from) {
        Ok(cbuf) => check(&cbuf, "out of a letter"),
        Err(error) => rt::println!("TEST lost FAILED letter of {}: {error}", from.0),
    }
}

/// What a component keeps for a while.
pub struct Kept(Mutex<[Option<Cbuf<'static>>; KEPT]>);

impl Kept {
    #[expect(clippy::new_without_default, reason = "made in statics alone")]
    pub const fn new() -> Self {
        Self(Mutex::new([const { None }; KEPT]))
    }

    /// Puts something (or nothing) in a random place; what was there.
    pub fn exchange(
        &self,
        random: &mut Random,
        cbuf: Option<Cbuf<'static>>,
    ) -> Option<Cbuf<'static>> {
        let place = random.below(KEPT as u64) as usize;
        core::mem::replace(&mut self.0.lock()[place], cbuf)
    }

    /// Lets go of everything; how much it was. What is let go is whole.
    pub fn release(&self) -> u64 {
        let all = core::mem::replace(&mut *self.0.lock(), [const { None }; KEPT]);
        let all = all.into_iter().flatten();
        all.inspect(|cbuf| check(cbuf, "at the end")).count() as u64
    }
}
