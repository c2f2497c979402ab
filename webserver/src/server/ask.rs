//! From works to answers: one batch to each component, then the commands.

use alloc::rc::Rc;
use alloc::vec::Vec;

use observe::served::{self, Which};

use crate::answer::Desk;
use crate::cache::File;
use crate::platform::{Buffer, Format, Found, Lookup, Page, Platform, Run};
use crate::response::{FileFields, MEDIA_TEXT};
use crate::status::{NO_ANSWER, NO_MEMORY, Status};
use crate::work::{Kind, Work};

use super::{RETRY_MS, Server};

/// How long a dynamic page is asked for again while the CGI component has no memory.
const RUN_PATIENCE_MS: u64 = 5_000;

impl<P: Platform> Server<P> {
    pub(super) fn seal_asks(&mut self, platform: &mut P) {
        if let Some(page) = self.asks.seal(platform) {
            for (at, span) in self.asked.drain(..) {
                if let Some(Work {
                    kind: Kind::Lookup { path: text, .. } | Kind::Run { query: text, .. },
                    ..
                }) = self.works.get_mut(at)
                {
                    *text = Some(page.slice(span.range()));
                }
            }
        }
    }

    /// Asks the components about every work that is open: one batch each.
    pub(super) fn ask(&mut self, platform: &mut P) {
        self.seal_asks(platform);
        let clock_ms = self.clock.ms;
        for (token, work) in self.works.iter_mut().enumerate() {
            let token = token as u32;
            match &mut work.kind {
                Kind::Lookup {
                    path: Some(path), ..
                } => self.lookups.push(Lookup {
                    token,
                    path: path.clone(),
                }),
                Kind::Run { query, again, .. } if !*again || clock_ms >= self.retry_ms => {
                    *again = false;
                    self.runs.push(Run {
                        token,
                        head_only: work.head_only,
                        query: query.clone(),
                    });
                }
                _ => {}
            }
        }
        if !self.lookups.is_empty() {
            platform.lookup(&mut self.lookups, &mut self.found);
            self.lookups.clear();
            let mut found = core::mem::take(&mut self.found);
            for file in found.drain(..) {
                self.file(file);
            }
            self.found = found;
        }
        if !self.runs.is_empty() {
            platform.run(&mut self.runs, &mut self.pages);
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
            if let Kind::Lookup { .. } | Kind::Run { again: false, .. } = work.kind {
                work.kind = Kind::Refused(NO_ANSWER);
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
                    let place = told.get_mut(*format as usize - 1);
                    let report = place.and_then(|place| {
                        place
                            .get_or_insert_with(|| platform.report(*format, &own))
                            .clone()
                    });
                    report.map(|(media, body)| (Status::Ok, media, body))
                }
                _ => continue,
            };
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
        let Kind::Lookup {
            path: Some(path),
            condition,
        } = &work.kind
        else {
            return;
        };
        if found.status != 200 {
            work.kind = Kind::Page {
                status: Status::from_component(found.status),
                media: found.media,
                body: found.body,
            };
            return;
        }
        let bytes = found.body.as_ref().map_or(0, |body| body.bytes().len());
        let file = Rc::new(File {
            fields: FileFields::new(found.media, bytes, found.tag, found.modified),
            tag: found.tag,
            modified: found.modified,
            body: found.body,
        });
        self.cache.insert(path.bytes(), file.clone());
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
        let Kind::Run {
            since_ms, again, ..
        } = &mut work.kind
        else {
            return;
        };
        let status = Status::from_component(page.status);
        if status != Status::Unavailable {
            work.kind = Kind::Page {
                status,
                media: page.media,
                body: page.body,
            };
        } else if self.clock.ms.saturating_sub(*since_ms) >= RUN_PATIENCE_MS {
            work.kind = Kind::Refused(NO_MEMORY);
        } else {
            *again = true;
            self.retry_ms = self.clock.ms + RETRY_MS;
        }
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
