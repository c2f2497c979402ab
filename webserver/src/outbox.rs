//! Commands for the network stack, and the page in which the heads among them are written.

use alloc::vec::Vec;

use crate::arena::{Arena, Span};
use crate::platform::{Command, CommandKind, Platform};
use crate::response::Out;

pub struct Outbox<P: Platform> {
    arena: Arena<P>,
    commands: Vec<Command<P::Buffer>>,
    /// Commands whose data lie in the open page.
    open: Vec<(usize, Span)>,
}

impl<P: Platform> Default for Outbox<P> {
    fn default() -> Self {
        Self {
            arena: Arena::default(),
            commands: Vec::new(),
            open: Vec::new(),
        }
    }
}

impl<P: Platform> Outbox<P> {
    /// Makes room for a text of at most `bytes`; `false` while there is no page to have.
    pub fn reserve(&mut self, bytes: usize, platform: &mut P) -> bool {
        if self.arena.fits(bytes) {
            return true;
        }
        self.seal(platform);
        self.arena.open(platform)
    }

    /// Sends what `write` writes, after [`Outbox::reserve`]. Answers its length and whether it
    /// became a command of its own: right behind another text for the same socket it joins that.
    pub fn send_text(&mut self, socket: u32, write: impl FnOnce(&mut Out<'_>)) -> (usize, bool) {
        let Some(span) = self.arena.write(|room| {
            let mut out = Out::new(room);
            write(&mut out);
            out.written()
        }) else {
            return (0, false);
        };
        let bytes = span.bytes as usize;
        let last = self.commands.len().wrapping_sub(1);
        if let Some((at, before)) = self.open.last_mut()
            && *at == last
            && self.commands[last].socket == socket
        {
            before.bytes += span.bytes;
            return (bytes, false);
        }
        self.open.push((self.commands.len(), span));
        self.put(CommandKind::Send, socket, 0);
        (bytes, true)
    }

    pub fn send(&mut self, socket: u32, data: P::Buffer) {
        self.commands.push(Command {
            kind: CommandKind::Send,
            socket,
            argument: 0,
            data: Some(data),
        });
    }

    pub fn put(&mut self, kind: CommandKind, socket: u32, argument: u32) {
        self.commands.push(Command {
            kind,
            socket,
            argument,
            data: None,
        });
    }

    /// Drops what is left for a connection that is gone: its socket number may be another's.
    pub fn forget(&mut self, socket: u32, platform: &mut P) {
        if self.commands.is_empty() {
            return;
        }
        self.seal(platform);
        self.commands.retain(|command| command.socket != socket);
    }

    /// Ends the open page and gives the commands their parts of it.
    pub fn seal(&mut self, platform: &mut P) {
        use crate::platform::Buffer;
        if let Some(page) = self.arena.seal(platform) {
            for (at, span) in self.open.drain(..) {
                self.commands[at].data = Some(page.slice(span.range()));
            }
        }
    }

    /// The commands, complete once sealed. Whoever takes some leaves the rest in order.
    pub fn commands(&mut self) -> &mut Vec<Command<P::Buffer>> {
        &mut self.commands
    }
}
