//! The jobs: whose they are, how far each is, and which is next.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use cistern_image::Memory;

use crate::{Limits, Refusal, Upload};

/// Jobs at once: one that is worked on and those that wait or are on their way in.
const JOBS_MAX: usize = 5;
/// Uploads that are refused and wait to be told so; more are not taken at all.
const REFUSED_MAX: usize = 256;

/// A job: whose it is, and the number by which that client knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    pub client: u32,
    pub number: u32,
}

/// What comes of a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer<B> {
    /// A status of HTTP.
    pub status: u16,
    /// How long each stage took, as the value of a field `Server-Timing`; empty for none.
    pub timing: String,
    pub body: Body<B>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body<B> {
    /// A sentence.
    Text(Cow<'static, str>),
    /// A PNG file.
    Png(B),
}

impl<B> From<Refusal> for Answer<B> {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: refusal.status,
            timing: String::new(),
            body: Body::Text(refusal.why.into()),
        }
    }
}

enum State<M: Memory> {
    Uploading(Box<Upload<M>>),
    /// Complete, and not begun.
    Waiting(Vec<M::Bytes>),
    Working,
    Done(Answer<M::Bytes>),
}

/// All jobs there are, the oldest first.
pub struct Jobs<M: Memory> {
    jobs: Vec<(Key, State<M>)>,
    limits: Limits,
    /// Uploads that are no jobs, and why; their clients are to be told.
    refused: Vec<(Key, Refusal)>,
    /// Clients that said that they begin, one bit each.
    begun: u64,
}

impl<M: Memory> Jobs<M> {
    pub const fn new(limits: Limits) -> Self {
        Self {
            jobs: Vec::new(),
            limits,
            refused: Vec::new(),
            begun: 0,
        }
    }

    /// Whether a client said that it begins. One that did not speaks of jobs of another life, ours
    /// or its own: it has to be told that they are lost.
    pub fn knows(&self, client: u32) -> bool {
        self.begun >> (client % 64) & 1 == 1
    }

    /// An upload begins. A job of the same name is forgotten. What is refused is no job, but answered
    /// like one. Whether there was room even for that.
    pub fn begin(&mut self, key: Key, content_type: &[u8], length: u64) -> bool {
        self.forget(key);
        let upload = if self.jobs.len() < JOBS_MAX {
            Upload::new(content_type, length, self.limits)
        } else {
            Err(Refusal::BUSY)
        };
        match upload {
            Ok(upload) => self.jobs.push((key, State::Uploading(Box::new(upload)))),
            Err(_) if self.refused.len() >= REFUSED_MAX => return false,
            Err(refusal) => self.refused.push((key, refusal)),
        }
        true
    }

    /// More of an upload's body. What is refused drops all that came of it.
    pub fn take(&mut self, key: Key, memory: &M, bytes: &[u8]) {
        let Some(state) = self.state(key) else { return };
        if let State::Uploading(upload) = state
            && let Err(refusal) = upload.take(memory, bytes)
        {
            *state = State::Done(refusal.into());
        }
    }

    /// An upload's body is complete.
    pub fn end(&mut self, key: Key) {
        let Some(state) = self.state(key) else { return };
        // Whatever stood there is replaced in any case.
        match core::mem::replace(state, State::Working) {
            State::Uploading(upload) => {
                *state = match upload.end() {
                    Ok(files) => State::Waiting(files),
                    Err(refusal) => State::Done(refusal.into()),
                }
            }
            other => *state = other,
        }
    }

    /// Nobody waits for this job any more.
    pub fn forget(&mut self, key: Key) {
        self.refused.retain(|(k, _)| *k != key);
        self.jobs.retain(|(k, _)| *k != key);
    }

    /// A client begins: nobody waits for what jobs it has.
    pub fn forget_all(&mut self, client: u32) {
        self.begun |= 1 << (client % 64);
        self.refused.retain(|(key, _)| key.client != client);
        self.jobs.retain(|(key, _)| key.client != client);
    }

    /// The job to work on: the one that waits for the longest time.
    pub fn next_to_do(&mut self) -> Option<(Key, Vec<M::Bytes>)> {
        let waits = |(_, state): &&mut (Key, State<M>)| matches!(state, State::Waiting(_));
        let (key, state) = self.jobs.iter_mut().find(waits)?;
        match core::mem::replace(state, State::Working) {
            State::Waiting(files) => Some((*key, files)),
            _ => None,
        }
    }

    /// Whether somebody still waits for a job that is worked on.
    pub fn is_wanted(&self, key: Key) -> bool {
        self.jobs.iter().any(|(k, _)| *k == key)
    }

    /// A job is done. If nobody waits for it, its answer comes back.
    pub fn done(&mut self, key: Key, answer: Answer<M::Bytes>) -> Option<Answer<M::Bytes>> {
        if let Some(state @ State::Working) = self.state(key) {
            *state = State::Done(answer);
            return None;
        }
        Some(answer)
    }

    /// Whether there is an answer for this client.
    pub fn has_answer(&self, client: u32) -> bool {
        let is_done = |(key, state): &(Key, State<M>)| {
            key.client == client && matches!(state, State::Done(_))
        };
        self.jobs.iter().any(is_done) || self.refused.iter().any(|(key, _)| key.client == client)
    }

    /// An answer for this client, which ends its job.
    pub fn answer(&mut self, client: u32) -> Option<(u32, Answer<M::Bytes>)> {
        let is_its = |(key, _): &(Key, Refusal)| key.client == client;
        if let Some(place) = self.refused.iter().position(is_its) {
            let (key, refusal) = self.refused.remove(place);
            return Some((key.number, refusal.into()));
        }
        let is_done = |(key, state): &(Key, State<M>)| {
            key.client == client && matches!(state, State::Done(_))
        };
        let place = self.jobs.iter().position(is_done)?;
        match self.jobs.remove(place) {
            (key, State::Done(answer)) => Some((key.number, answer)),
            _ => None,
        }
    }

    fn state(&mut self, key: Key) -> Option<&mut State<M>> {
        let mut jobs = self.jobs.iter_mut();
        jobs.find(|(k, _)| *k == key).map(|(_, state)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Heap, form};
    use std::vec;

    const TYPE: &[u8] = b"multipart/form-data; boundary=X";

    fn key(client: u32, number: u32) -> Key {
        Key { client, number }
    }

    fn upload(jobs: &mut Jobs<Heap>, heap: &Heap, key: Key, body: &[u8]) {
        assert!(jobs.begin(key, TYPE, body.len() as u64));
        for piece in body.chunks(1000) {
            jobs.take(key, heap, piece);
        }
        jobs.end(key);
    }

    fn png(heap: &Heap) -> Answer<<Heap as Memory>::Bytes> {
        Answer {
            status: 200,
            timing: "all;dur=1".into(),
            body: Body::Png(heap.finish(heap.room(10).unwrap(), 10)),
        }
    }

    #[test]
    fn jobs_are_done_in_the_order_of_their_beginnings() {
        let heap = Heap::new(4 << 20);
        let mut jobs = Jobs::new(Limits::STANDARD);
        let body = form(&[vec![1; 100], vec![2; 100]]);
        upload(&mut jobs, &heap, key(1, 7), &body);
        upload(&mut jobs, &heap, key(2, 7), &body);
        let (first, files) = jobs.next_to_do().unwrap();
        assert_eq!((first, files.len()), (key(1, 7), 2));
        assert_eq!(
            (&files[0][..], &files[1][..]),
            (&[1; 100][..], &[2; 100][..])
        );
        drop(files);
        assert!(jobs.answer(1).is_none());
        assert!(jobs.done(first, png(&heap)).is_none());
        assert!(jobs.answer(2).is_none());
        let (number, answer) = jobs.answer(1).unwrap();
        assert_eq!((number, answer.status), (7, 200));
        assert!(jobs.answer(1).is_none());
        drop(answer);
        assert_eq!(jobs.next_to_do().unwrap().0, key(2, 7));
        jobs.forget_all(2);
        assert_eq!(heap.used(), 0);
    }

    #[test]
    fn what_is_refused_is_told_once_and_keeps_nothing() {
        let heap = Heap::new(100_000);
        let mut jobs = Jobs::new(Limits::STANDARD);
        upload(&mut jobs, &heap, key(1, 1), &form(&[vec![0; 10]]));
        upload(
            &mut jobs,
            &heap,
            key(1, 2),
            &form(&[vec![0; 10], vec![0; 10]]),
        );
        assert!(jobs.begin(key(1, 3), b"text/plain", 5));
        for (number, refusal) in [
            (3, Refusal::NO_FORM),
            (1, Refusal::TOO_FEW),
            (2, Refusal::NO_MEMORY),
        ] {
            assert!(jobs.has_answer(1) && !jobs.has_answer(2));
            assert!(jobs.answer(1) == Some((number, refusal.into())));
        }
        assert!(!jobs.has_answer(1) && jobs.answer(1).is_none());
        assert_eq!((jobs.next_to_do().is_none(), heap.used()), (true, 0));
    }

    #[test]
    fn a_job_that_nobody_waits_for_ends_wherever_it_is() {
        let heap = Heap::new(1 << 20);
        let mut jobs = Jobs::new(Limits::STANDARD);
        let body = form(&[vec![1; 100], vec![2; 100]]);
        assert!(jobs.begin(key(1, 1), TYPE, 1000));
        jobs.take(key(1, 1), &heap, &body[..200]);
        assert!(heap.used() > 0);
        jobs.forget(key(1, 1));
        upload(&mut jobs, &heap, key(1, 2), &body);
        jobs.forget(key(1, 2));
        upload(&mut jobs, &heap, key(1, 3), &body);
        let (working, files) = jobs.next_to_do().unwrap();
        assert!(jobs.is_wanted(working));
        jobs.forget(working);
        assert!(!jobs.is_wanted(working));
        drop(files);
        assert!(jobs.done(working, png(&heap)).is_some());
        assert_eq!((jobs.answer(1).is_none(), heap.used()), (true, 0));
        // Pieces of what is gone, or of what is complete, change nothing.
        jobs.take(working, &heap, b"more");
        jobs.end(working);
        upload(&mut jobs, &heap, key(1, 4), &body);
        jobs.take(key(1, 4), &heap, b"more");
        jobs.end(key(1, 4));
        assert_eq!(jobs.next_to_do().unwrap().1.len(), 2);
    }

    #[test]
    fn who_did_not_begin_is_not_known() {
        let mut jobs = Jobs::<Heap>::new(Limits::STANDARD);
        assert!(!jobs.knows(7));
        jobs.forget_all(7);
        assert_eq!((jobs.knows(7), jobs.knows(8)), (true, false));
    }

    #[test]
    fn more_jobs_than_there_is_room_for_are_told_so() {
        let mut jobs = Jobs::<Heap>::new(Limits::STANDARD);
        for n in 0..JOBS_MAX as u32 {
            assert!(jobs.begin(key(1, n), TYPE, 100));
        }
        assert!(jobs.begin(key(2, 0), TYPE, 100));
        assert!(jobs.answer(2) == Some((0, Refusal::BUSY.into())));
        // One that begins anew takes its own place.
        assert!(jobs.begin(key(1, 0), TYPE, 100));
        jobs.forget(key(1, 1));
        assert!(jobs.begin(key(2, 0), TYPE, 100));
        assert!(!jobs.has_answer(2));
        // Whoever never asks for what it is told gets no more room for it.
        for n in 0..REFUSED_MAX as u32 {
            assert!(jobs.begin(key(3, n), TYPE, 100));
        }
        assert!(!jobs.begin(key(3, 999), TYPE, 100));
        jobs.forget(key(3, 7));
        assert!(jobs.begin(key(3, 999), TYPE, 100));
        jobs.forget_all(3);
        assert!(!jobs.has_answer(3));
    }
}
