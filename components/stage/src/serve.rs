//! Both ends of the interface `stage`, and a stage without one.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use cistern_stages::{Failure, Part, Stage};
use rt::abi::{ComponentId, Error};
use rt::cbuf::{Batch, Cbuf, Incoming};
use stubs::stage as idl;

use crate::pool::{Pool, text};

type Parts = Vec<Part<Cbuf<'static>>>;

/// A stage at work here: what answers the interface.
pub struct Service {
    stage: Stage,
    run: fn(&Pool, &[Part<Cbuf<'static>>]) -> Result<Parts, Failure>,
}

/// Most parts of an invocation: two of each photograph and a few more.
const PARTS_MAX: usize = 64;

impl Service {
    pub const fn new(
        stage: Stage,
        run: fn(&Pool, &[Part<Cbuf<'static>>]) -> Result<Parts, Failure>,
    ) -> Self {
        Self { stage, run }
    }

    fn made(&self, parts: Incoming<'static, idl::Part>) -> Result<Parts, Failure> {
        if parts.len() > PARTS_MAX {
            return Err(Failure::parts());
        }
        let parts: Parts = received(parts).map_err(|_| Failure::parts())?;
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
        match self.made(parts) {
            Ok(made) => Ok((200, batch(made, caller)?)),
            Err(failure) => {
                let why = vec![Part {
                    width: 0,
                    height: 0,
                    index: 0,
                    data: text(&failure.why),
                }];
                Ok((failure.status.into(), batch(why, caller)?))
            }
        }
    }
}

fn batch(parts: Parts, to: ComponentId) -> Result<Batch<'static, idl::Part>, Error> {
    let mut batch = Batch::with_capacity(rt::cbuf::client(), to, parts.len())?;
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

    /// Runs a stage where it is. What died on the way is its component's failure.
    pub fn run(&self, stage: Stage, parts: &[Part<Cbuf<'static>>]) -> Result<Parts, Failure> {
        let died = |error: Error| {
            let name = stage.name();
            Failure::new(502, format_args!("the stage {name} failed: {error}"))
        };
        let client = &self.stages[stage as usize];
        let batch = batch(parts.to_vec(), client.peer()).map_err(died)?;
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
