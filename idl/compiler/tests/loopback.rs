//! The generated code at work: the modules beside `inputs/ok/{scalars,cbufs,batches}.idl` run
//! against the real `libcbuf` and the real `wire` module, over a runtime that is played here:
//! this crate is their `rt`, with two components in one process and a manager that counts.
//! (The formatter leaves the three files as the compiler wrote them.)

extern crate self as rt;

#[path = "inputs/ok/batches.rs"]
#[rustfmt::skip]
mod batches;
#[path = "inputs/ok/cbufs.rs"]
#[rustfmt::skip]
mod cbufs;
#[path = "loopback/machine.rs"]
mod machine;
#[path = "inputs/ok/scalars.rs"]
#[rustfmt::skip]
mod scalars;
#[path = "../../stubs/src/wire.rs"]
mod wire;

use abi::{ComponentId, Error};
use batches::{Done, Job};
use libcbuf::{Batch, Buffer, Cbuf, Incoming};
pub use machine::{Call, Failure, Reply, attempt, cbuf, import, imports, invoke};
use machine::{PROVIDER, USER, all_settled, machine, raw, refuse, without_pools};

struct Provider;

impl scalars::Server for Provider {
    fn bytes(
        &self,
        caller: ComponentId,
        a: u8,
        b: u16,
        c: u32,
        d: bool,
    ) -> Result<(u8, u16, u32, bool), Error> {
        assert_eq!(caller, USER);
        Ok((!a, !b, !c, !d))
    }
    fn words(&self, _: ComponentId, a: u64, b: i64) -> Result<(u64, i64), Error> {
        Ok((!a, !b))
    }
    fn one(&self, _: ComponentId) -> Result<u32, Error> {
        Err(Error::Busy)
    }
    fn signed(&self, _: ComponentId) -> Result<i64, Error> {
        Ok(i64::MIN)
    }
}

impl cbufs::Server for Provider {
    fn swap(
        &self,
        _: ComponentId,
        first: Cbuf<'static>,
        second: Cbuf<'static>,
    ) -> Result<(Cbuf<'static>, Cbuf<'static>), Error> {
        Ok((second, first))
    }
    fn mixed(
        &self,
        _: ComponentId,
        offset: u32,
        data: Cbuf<'static>,
        flag: bool,
    ) -> Result<(u64, Cbuf<'static>), Error> {
        assert!(flag);
        Ok((data.len() as u64, data.slice(offset as usize..)))
    }
}

impl batches::Server for Provider {
    fn run(
        &self,
        caller: ComponentId,
        jobs: Incoming<'static, Job>,
        deadline: u64,
    ) -> Result<(Batch<'static, Done>, u32), Error> {
        if deadline == 0 {
            return Err(Error::TimedOut);
        }
        let mut done = Batch::new(cbuf::client(), caller)?;
        let mut left = 0;
        for job in jobs {
            let Ok(job) = job else {
                left += 1;
                continue;
            };
            let bytes = job.data.map_or(0, |data| data.len());
            let extra = job.extra.map_or(0, |extra| extra.len());
            let sum = job.delta + i64::from(job.small) + i64::from(job.urgent);
            let status = u16::try_from(bytes + extra).map_err(|_| Error::BadSize)?;
            let token = job.token + u64::from(job.number) + sum.cast_unsigned();
            done.push(Done { token, status })?;
        }
        Ok((done, left))
    }
}

/// What the entry of each interface reaches.
pub fn serve(interface: u16, call: Call) -> Reply {
    match interface {
        scalars::INTERFACE => scalars::serve(&Provider, call),
        cbufs::INTERFACE => cbufs::serve(&Provider, call),
        batches::INTERFACE => batches::serve(&Provider, call),
        _ => Err(Error::NoCapability),
    }
}

fn filled(text: &str) -> Cbuf<'static> {
    let mut buffer = Buffer::alloc(cbuf::client(), text.len()).unwrap();
    buffer[..text.len()].copy_from_slice(text.as_bytes());
    buffer.freeze(text.len())
}

fn job(data: Option<Cbuf<'static>>, extra: Option<Cbuf<'static>>) -> Job {
    Job {
        token: 1000,
        small: 200,
        data,
        urgent: true,
        delta: -7,
        extra,
        number: 50,
    }
}

#[test]
fn a_client_finds_each_provider() {
    let all = [
        scalars::Client::each().count(),
        cbufs::Client::each().count(),
        batches::Client::each().count(),
    ];
    assert_eq!(all, [1; 3]);
}

#[test]
fn scalars_come_through_at_their_extremes() {
    machine();
    let client = scalars::Client::bind().unwrap();
    assert_eq!(client.peer(), PROVIDER);
    assert_eq!(
        client.bytes(0, 0, 0, false),
        Ok((255, 65535, u32::MAX, true))
    );
    assert_eq!(
        client.bytes(255, 65535, u32::MAX, true),
        Ok((0, 0, 0, false))
    );
    assert_eq!(client.words(0, i64::MAX), Ok((u64::MAX, i64::MIN)));
    assert_eq!(client.signed(), Ok(i64::MIN));
    assert_eq!(client.one(), Err(Error::Busy));
}

#[test]
fn words_that_are_no_such_scalar_are_refused() {
    machine();
    let bytes = |args| raw(scalars::INTERFACE, scalars::method::BYTES, args);
    assert!(bytes([255, 65535, 0xffff_ffff, 1]).is_ok());
    for bad in [
        [256, 0, 0, 0],
        [0, 65536, 0, 0],
        [0, 0, 1 << 32, 0],
        [0, 0, 0, 2],
        [u64::MAX; 4],
    ] {
        assert_eq!(bytes(bad), Err(Error::BadArgument));
    }
    for method in [4, 5, 1 << 32, u64::MAX] {
        assert_eq!(
            raw(scalars::INTERFACE, method, [0; 4]),
            Err(Error::BadMethod)
        );
    }
}

#[test]
fn buffers_go_there_and_back_and_the_counts_agree() {
    machine();
    let client = cbufs::Client::bind().unwrap();
    assert_eq!(client.peer(), PROVIDER);
    let (one, two) = (filled("one"), filled("second"));
    let (second, first) = client.swap(&one, &two).unwrap();
    assert_eq!((&*first, &*second), (&*one, &*two));
    let (length, part) = client.mixed(2, &two.slice(1..), true).unwrap();
    assert_eq!((length, &*part), (5, &b"ond"[..]));
    assert_eq!(part.offset(), 3);
    drop((one, two, first, second, part));
    all_settled();
}

#[test]
fn hostile_buffer_words_are_refused_and_the_other_buffer_still_received() {
    machine();
    let swap = |args| raw(cbufs::INTERFACE, cbufs::method::SWAP, args);
    let mine = filled("mine");
    let id = u64::from(mine.id().0);
    for bad in [
        [0, 0],
        [id + 77, 0],
        [u64::MAX, 0],
        [id, u64::MAX],
        [(4097 << 32) | id, 0],
        [(1 << 32) | id, 4096],
    ] {
        let [good0, good1] = wire::send(&mine, PROVIDER);
        assert_eq!(
            swap([bad[0], bad[1], good0, good1]),
            Err(Error::BadBuffer),
            "{bad:x?}"
        );
    }
    // A scalar is refused only after the buffer beside it was received.
    let [word0, word1] = wire::send(&mine, PROVIDER);
    let mixed = raw(cbufs::INTERFACE, cbufs::method::MIXED, [0, word0, word1, 2]);
    assert_eq!(mixed, Err(Error::BadArgument));
    // Beyond a good stretch's own words, nothing of the second word is ignored.
    let [word0, word1] = wire::send(&mine, PROVIDER);
    let mixed = raw(
        cbufs::INTERFACE,
        cbufs::method::MIXED,
        [0, word0, word1 | (1 << 32), 1],
    );
    assert_eq!(mixed, Err(Error::BadBuffer));
}

#[test]
fn batches_carry_records_and_their_buffers() {
    machine();
    let client = batches::Client::bind().unwrap();
    let mut jobs = Batch::new(cbuf::client(), client.peer()).unwrap();
    jobs.push(job(Some(filled("abc")), None)).unwrap();
    jobs.push(job(None, Some(filled("de")))).unwrap();
    jobs.push(job(None, None)).unwrap();
    let (done, left) = client.run(jobs, 1).unwrap();
    let done: Vec<_> = done
        .map(|d| d.unwrap())
        .map(|d| (d.token, d.status))
        .collect();
    assert_eq!((done, left), (vec![(1244, 3), (1244, 2), (1244, 0)], 0));

    let (done, _) = client.run(Batch::none(), 1).unwrap();
    assert!(done.is_empty());

    // Refused by the server: what was sent is received and freed all the same.
    let mut jobs = Batch::new(cbuf::client(), client.peer()).unwrap();
    jobs.push(job(Some(filled("abc")), Some(filled("d"))))
        .unwrap();
    assert_eq!(client.run(jobs, 0).err(), Some(Error::TimedOut));
    all_settled();
}

#[test]
fn what_the_kernel_refuses_is_taken_back() {
    machine();
    let (one, two) = (filled("one"), filled("second"));
    let mut jobs = Batch::new(cbuf::client(), PROVIDER).unwrap();
    jobs.push(job(Some(filled("abc")), Some(filled("d"))))
        .unwrap();
    jobs.push(job(None, None)).unwrap();
    refuse(Some(Error::TooDeep));
    let swapped = cbufs::Client::bind().unwrap().swap(&one, &two);
    assert_eq!(swapped.err(), Some(Error::TooDeep));
    let done = batches::Client::bind().unwrap().run(jobs, 1);
    assert_eq!(done.err(), Some(Error::TooDeep));
    let done = batches::Client::bind().unwrap().run(Batch::none(), 1);
    assert_eq!(done.err(), Some(Error::TooDeep));
    drop((one, two));
    all_settled();
    refuse(None);
}

#[test]
fn a_provider_without_a_pool_refuses_buffers() {
    machine();
    without_pools();
    let swapped = raw(
        cbufs::INTERFACE,
        cbufs::method::SWAP,
        [1 | 1 << 32, 0, 0, 0],
    );
    assert_eq!(swapped, Err(Error::BadBuffer));
    let run = |word| raw(batches::INTERFACE, batches::method::RUN, [word, 0, 0, 0]);
    assert_eq!(run(1 | 1 << 32), Err(Error::BadBuffer));
    assert_eq!(run(0), Err(Error::TimedOut));
}

#[test]
fn a_buffer_of_the_providers_is_not_the_users_to_name() {
    machine();
    let client = cbufs::Client::bind().unwrap();
    let mine = filled("mine");
    // The provider shares one of its own, by a batch of answers that is kept.
    let mut jobs = Batch::new(cbuf::client(), client.peer()).unwrap();
    jobs.push(job(None, None)).unwrap();
    let [word, ..] = raw(
        batches::INTERFACE,
        batches::method::RUN,
        [jobs.into_wire(), 1, 0, 0],
    )
    .unwrap();
    let theirs = word & 0xffff_ffff;
    let [good0, good1] = wire::send(&mine, PROVIDER);
    let args = [theirs | 1 << 32, 0, good0, good1];
    let swapped = raw(cbufs::INTERFACE, cbufs::method::SWAP, args);
    assert_eq!(swapped, Err(Error::BadBuffer));
    // Received from the provider, and sent back, it is.
    let kept = wire::receive(theirs | 1 << 32, 0, PROVIDER).unwrap();
    let (back, _) = client.swap(&mine, &kept).unwrap();
    assert_eq!(back.id(), kept.id());
    drop((mine, kept, back));
    all_settled();
}

#[test]
fn hostile_records_are_refused_one_by_one() {
    machine();
    let data = filled("data");
    let good = wire::send(&data, PROVIDER);
    let mut buffer = Buffer::alloc(cbuf::client(), 4096).unwrap();
    buffer.fill(0);
    let record = |n: usize| n * 56..(n + 1) * 56;
    // 0 is in order, 1 has a bool of 2, 2 an unknown buffer, 3 a stretch beyond its buffer.
    for n in 0..4 {
        buffer[record(n)][12..16].copy_from_slice(&(good[0] as u32).to_le_bytes());
        buffer[record(n)][20..24].copy_from_slice(&4u32.to_le_bytes());
        if n > 0 {
            let _ = wire::send(&data, PROVIDER);
        }
    }
    buffer[record(1)][24] = 2;
    buffer[record(2)][40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    buffer[record(3)][16..24].fill(0xff);
    let batch = buffer.freeze(4 * 56);
    let id = wire::send(&batch, PROVIDER)[0] & 0xffff_ffff;
    let run = |word| raw(batches::INTERFACE, batches::method::RUN, [word, 1, 0, 0]);
    let reply = run(id | (4 << 32)).unwrap();
    assert_eq!(reply[1], 3, "three records refused");
    assert_eq!(reply[0] >> 32, 1, "one record answered");

    // More records than the buffer holds, up to lengths that do not fit 32 bits.
    for count in [74, 1 << 20, u64::from(u32::MAX)] {
        assert_eq!(run(id | (count << 32)), Err(Error::BadBuffer));
    }
    assert_eq!(run(1 << 32), Err(Error::BadBuffer));
    assert_eq!(run(u64::MAX), Err(Error::BadBuffer));
}

#[test]
fn padding_carries_nothing() {
    machine();
    let mut dirty = Buffer::alloc(cbuf::client(), 4096).unwrap();
    dirty.fill(0xaa);
    let id = dirty.id();
    drop(dirty);
    let mut jobs: Batch<Job> = Batch::new(cbuf::client(), USER).unwrap();
    jobs.push(job(None, None)).unwrap();
    let word = jobs.into_wire();
    let batch = wire::receive((word & 0xffff_ffff) | (56 << 32), 0, USER).unwrap();
    assert_eq!(batch.id(), id, "the page was used again");
    for gap in [9..12, 25..32] {
        assert!(batch[gap].iter().all(|byte| *byte == 0));
    }
}
