//! From works to answers: one batch to each component, then the commands.

use alloc::rc::Rc;
use alloc::vec::Vec;

use observe::served::{self, Which};

use crate::answer::Desk;
use crate::cache::{File, KEPT_MAX};
use crate::platform::{Buffer, Format, Found, Lack, Lookup, Page, Platform, Run};
use crate::response::{FileFields, MEDIA_TEXT};
use crate::status::{NO_ANSWER, Status};
use crate::work::{Kind, Next, Rest, Work};

use super::Server;

/// What components answer while they have no memory.
pub(super) const UNAVAILABLE: u32 = 503;

impl<P: Platform> Server<P> {
    pub(super) fn seal_asks(&mut self, platform: &mut P) {
        if let Some(page) = self.asks.seal(platform) {
            for (at, span) in self.asked.drain(..) {
                let Some(work) = self.works.get_mut(at) else {
                    continue;
                };
                let part = Some(page.slice(span.range()));
                match (&mut work.kind, &mut work.rest) {
                    (_, Some(rest)) => rest.next = Next::Ready(part),
                    (Kind::Lookup { path: text, .. } | Kind::Run { query: text }, None) => {
                        *text = part;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Asks the components about every work that is open: one batch each.
    pub(super) fn ask(&mut self, platform: &mut P) {
        if self.works.iter().any(|work| work.rest.is_some()) {
            self.ask_for_rests(platform);
        }
        self.seal_asks(platform);
        for (token, work) in self.works.iter_mut().enumerate() {
            let token = token as u32;
            match (&work.kind, &mut work.rest) {
                (kind, Some(rest)) => {
                    let Next::Ready(text) = &mut rest.next else {
                        continue;
                    };
                    let (text, from) = (text.take(), rest.sent);
                    rest.next = Next::Asked;
                    let of_file = rest.tag.is_some() || matches!(kind, Kind::Lookup { .. });
                    match text {
                        Some(path) if of_file => self.lookups.push(Lookup { token, path, from }),
                        query => self.runs.push(Run {
                            token,
                            head_only: work.head_only,
                            query,
                            from,
                        }),
                    }
                }
                (
                    Kind::Lookup {
                        path: Some(path), ..
                    },
                    None,
                ) => self.lookups.push(Lookup {
                    token,
                    path: path.clone(),
                    from: 0,
                }),
                (Kind::Run { query }, None) => self.runs.push(Run {
                    token,
                    head_only: work.head_only,
                    query: query.clone(),
                    from: 0,
                }),
                _ => {}
            }
        }
        // Whether one that has no answer lacked memory.
        let mut short = [false; 2];
        if !self.lookups.is_empty() {
            short[0] = platform.lookup(&mut self.lookups, &mut self.found);
            self.lookups.clear();
            let mut found = core::mem::take(&mut self.found);
            for file in found.drain(..) {
                self.file(file);
            }
            self.found = found;
        }
        if !self.runs.is_empty() {
            short[1] = platform.run(&mut self.runs, &mut self.pages);
            self.runs.clear();
            let mut pages = core::mem::take(&mut self.pages);
            for page in pages.drain(..) {
                self.page(page);
            }
            self.pages = pages;
        }
        self.observe(platform);
        self.stitch(platform);
        for work in &mut self.works {
            match (&work.kind, &work.rest) {
                (Kind::Lookup { .. } | Kind::Run { .. }, None) => {}
                (_, Some(rest)) if matches!(rest.next, Next::Asked) => {}
                _ => continue,
            }
            let of_file = match &work.rest {
                Some(rest) if rest.tag.is_some() => true,
                _ => matches!(work.kind, Kind::Lookup { .. }),
            };
            if short[usize::from(!of_file)] {
                work.lacks(self.clock.ms);
            } else {
                work.fails();
            }
        }
    }

    /// Asks the observer: once for each format, however many want it, and once for each choice.
    fn observe(&mut self, platform: &mut P) {
        let is_its =
            |work: &Work<P::Buffer>| matches!(work.kind, Kind::Report(_) | Kind::Choice { .. });
        if self.works.iter().any(is_its) {
            self.observe_some(platform);
        }
    }

    #[cold]
    fn observe_some(&mut self, platform: &mut P) {
        let own = self.figures();
        let mut told = [const { None }; Format::ALL.len()];
        for work in &mut self.works {
            let page = match &work.kind {
                Kind::Choice { words } => platform
                    .choose(words)
                    .map(|(status, body)| (Status::from_component(status), MEDIA_TEXT, body)),
                Kind::Report(format) => {
                    let Some(place) = told.get_mut(*format as usize - 1) else {
                        continue;
                    };
                    let report = place.get_or_insert_with(|| platform.report(*format, &own));
                    match report.clone() {
                        Ok((media, body)) => Some((Status::Ok, media, body)),
                        Err(Lack::Answer) => None,
                        Err(Lack::Memory) => {
                            work.lacks(self.clock.ms);
                            continue;
                        }
                    }
                }
                _ => continue,
            };
            work.rest = None;
            work.kind = match page {
                Some((status, media, body)) => Kind::Page {
                    status,
                    media,
                    body: Some(body),
                },
                None => Kind::Refused(NO_ANSWER),
            };
        }
    }

    /// What the server itself has to tell, numbered as in [`observe::served`].
    pub(super) fn figures(&self) -> Vec<(u32, u64)> {
        let mut all = Vec::with_capacity(served::MOST);
        all.extend(self.counters.figures());
        all.push((Which::LatencySumNs as u32, self.latency.sum_ns()));
        let buckets = self.latency.counts().iter().enumerate();
        all.extend(buckets.map(|(n, count)| (served::bucket(n), *count)));
        all
    }

    #[cold]
    pub(super) fn file(&mut self, found: Found<P::Buffer>) {
        let Some(work) = self.works.get_mut(found.token as usize) else {
            return;
        };
        if let (Kind::Rest, Some(rest)) = (&work.kind, &work.rest) {
            let body = found.body.filter(|_| rest.tag == Some(found.tag));
            work.goes_on(found.status, found.bytes, body, self.clock.ms);
            return;
        }
        if found.status == UNAVAILABLE {
            work.lacks(self.clock.ms);
            return;
        }
        let Kind::Lookup { path, condition } = &work.kind else {
            return;
        };
        let again = work.rest.take();
        let path = match (path, &again) {
            (Some(path), _) => path.bytes(),
            (None, Some(again)) => &again.text[..],
            (None, None) => return,
        };
        if found.status != 200 {
            work.kind = Kind::Page {
                status: Status::from_component(found.status),
                media: found.media,
                body: found.body,
            };
            return;
        }
        work.rest = Rest::behind(path, Some(found.tag), found.bytes, &found.body);
        let whole = found.bytes as usize;
        let file = Rc::new(File {
            fields: FileFields::new(found.media, whole, found.tag, found.modified),
            tag: found.tag,
            modified: found.modified,
            body: found.body,
        });
        if work.rest.is_none() && whole <= KEPT_MAX {
            self.cache.insert(path, file.clone());
        }
        work.kind = if condition
            .as_ref()
            .is_some_and(|condition| condition.unchanged(file.tag, file.modified))
        {
            Kind::NotModified(file)
        } else {
            Kind::File(file)
        };
    }

    pub(super) fn page(&mut self, page: Page<P::Buffer>) {
        let Some(work) = self.works.get_mut(page.token as usize) else {
            return;
        };
        if matches!(work.kind, Kind::Rest) {
            work.goes_on(page.status, page.bytes, page.body, self.clock.ms);
            return;
        }
        if page.status == UNAVAILABLE {
            work.lacks(self.clock.ms);
            return;
        }
        let Kind::Run { query } = &work.kind else {
            return;
        };
        let again = work.rest.take();
        let query = match (query, &again) {
            (Some(query), _) => query.bytes(),
            (None, Some(again)) => &again.text[..],
            (None, None) => &[],
        };
        let status = Status::from_component(page.status);
        if status == Status::Ok {
            work.rest = Rest::behind(query, None, page.bytes, &page.body);
        }
        work.kind = Kind::Page {
            status,
            media: page.media,
            body: page.body,
        };
    }

    /// Answers what can be answered, each connection's requests in order.
    pub(super) fn answer(&mut self, platform: &mut P) {
        let mut works = core::mem::replace(&mut self.works, core::mem::take(&mut self.spare));
        let mut desk = Desk {
            outbox: &mut self.outbox,
            stamp: &self.stamp,
            counters: &mut self.counters,
            latency: &mut self.latency,
            start_ms: self.start_ms,
            now_ms: self.clock.ms,
            platform,
        };
        for mut work in works.drain(..) {
            let connection = &mut self.connections[work.place];
            if connection.generation != work.generation || !connection.is_open() {
                continue;
            }
            if connection.stalled || !desk.answer(&mut work, connection) {
                connection.stalled = true;
                self.works.push(work);
            } else {
                connection.touch(work.place, &mut self.touched);
            }
        }
        self.spare = works;
        for work in &self.works {
            self.connections[work.place].stalled = false;
        }
    }
}
