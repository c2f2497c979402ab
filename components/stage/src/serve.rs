//! Both ends of the interface `stage`, and a stage without one.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use cistern_image::{Full, Memory};
use cistern_stages::{Failure, Part, Stage};
use rt::abi::layout::PAGE;
use rt::abi::{ComponentId, Error};
use rt::cbuf::{Batch, Buffer, Cbuf, Incoming};
use stubs::stage as idl;

use crate::need::Need;
use crate::pool::{Pool, text};

type Parts = Vec<Part<Cbuf<'static>>>;

/// A stage at work here: what answers the interface.
pub struct Service {
    pub stage: Stage,
    pub run: fn(&Pool, &[Part<Cbuf<'static>>]) -> Result<Parts, Failure>,
    pub need: Need<Cbuf<'static>>,
}

/// Most parts of an invocation: two of each photograph and a few more.
const PARTS_MAX: usize = 64;

impl Service {
    fn made(&self, parts: Incoming<'static, idl::Part>) -> Result<Parts, Failure> {
        if parts.len() > PARTS_MAX {
            return Err(Failure::parts());
        }
        let parts: Parts = received(parts).map_err(|_| Failure::parts())?;
        let bytes = (self.need)(&parts);
        let _reserve = rt::heap::reserve(bytes).ok_or(Full { bytes })?;
        (self.run)(&Pool, &parts)
    }
}

impl idl::Server for Service {
    fn which(&self, _: ComponentId) -> Result<u32, Error> {
        Ok(self.stage as u32)
    }

    fn run(
        &self,
        caller: ComponentId,
        parts: Incoming<'static, idl::Part>,
    ) -> Result<(u32, Batch<'static, idl::Part>), Error> {
        // First of all, so that whoever has memory for parts can hand them on, or say why not.
        let page = page()?;
        match self.made(parts) {
            Ok(made) => Ok((200, batch(page, made, caller)?)),
            Err(failure) => {
                let why = vec![Part {
                    width: 0,
                    height: 0,
                    index: 0,
                    data: text(&failure.why),
                }];
                Ok((failure.status.into(), batch(page, why, caller)?))
            }
        }
    }
}

/// Room for more parts than there ever are. Waits for it as for any memory, not for ever.
fn page() -> Result<Buffer<'static>, Error> {
    Pool.room(PAGE).map_err(|_| Error::NoMemory)
}

fn batch(
    page: Buffer<'static>,
    parts: Parts,
    to: ComponentId,
) -> Result<Batch<'static, idl::Part>, Error> {
    let mut batch = Batch::in_buffer(page, to);
    for part in parts {
        batch.push(idl::Part {
            width: part.width,
            height: part.height,
            index: part.index,
            data: part.data,
        })?;
    }
    Ok(batch)
}

fn received(parts: Incoming<'static, idl::Part>) -> Result<Parts, Error> {
    parts
        .map(|part| {
            part.map(|part| Part {
                width: part.width,
                height: part.height,
                index: part.index,
                data: part.data,
            })
        })
        .collect()
}

/// All stages, each in a component of its own.
pub struct Remote {
    stages: [idl::Client; Stage::ALL.len()],
}

impl Remote {
    /// Asks all providers which stage they are. `NotFound` when one is missing.
    pub fn bind() -> Result<Self, Error> {
        let mut found = [const { None }; Stage::ALL.len()];
        for client in idl::Client::each() {
            let which = client.which()? as usize;
            *found.get_mut(which).ok_or(Error::OutOfRange)? = Some(client);
        }
        let stages = found.map(|client| client.ok_or(Error::NotFound));
        let mut stages = stages.into_iter();
        let mut next = || stages.next().unwrap_or(Err(Error::NotFound));
        Ok(Self {
            stages: [
                next()?,
                next()?,
                next()?,
                next()?,
                next()?,
                next()?,
                next()?,
                next()?,
                next()?,
            ],
        })
    }

    /// The component that a stage is.
    pub fn component(&self, stage: Stage) -> ComponentId {
        self.stages[stage as usize].peer()
    }

    /// Whether a stage answers: one that died does when it was started anew.
    pub fn is_there(&self, stage: Stage) -> bool {
        self.stages[stage as usize].which() == Ok(stage as u32)
    }

    /// Runs a stage where it is. What died on the way is its component's failure.
    pub fn run(&self, stage: Stage, parts: &[Part<Cbuf<'static>>]) -> Result<Parts, Failure> {
        let died = |error: Error| {
            let name = stage.name();
            let status = if error == Error::NoMemory { 507 } else { 502 };
            Failure::new(status, format_args!("the stage {name} failed: {error}"))
        };
        let client = &self.stages[stage as usize];
        let batch = page()
            .and_then(|page| batch(page, parts.to_vec(), client.peer()))
            .map_err(died)?;
        let (status, made) = client.run(batch).map_err(died)?;
        let made = received(made).map_err(died)?;
        if status == 200 {
            return Ok(made);
        }
        let why = made.first().map_or(&[][..], |part| part.bytes());
        let why = match str::from_utf8(why) {
            Ok(why) if !why.is_empty() && why.len() <= 200 => String::from(why),
            _ => String::from("a stage said no, and not why"),
        };
        let known = [413, 415, 422, 500, 503, 507].contains(&status);
        Err(Failure::new(if known { status as u16 } else { 502 }, why))
    }
}
