//! What was seen of one run, and the figures that follow from it. Times are in the machine's
//! seconds since its components began.

use std::collections::BTreeMap;

/// One pool at one moment: pages, and seconds and events since boot.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Pool {
    pub limit: f64,
    pub blocked: f64,
    pub collecting: f64,
}

impl Pool {
    pub fn lost(&self) -> f64 {
        self.blocked + self.collecting
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    pub at: f64,
    /// By component.
    pub pools: BTreeMap<u32, Pool>,
}

/// What the interference told of itself.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Told {
    pub at: f64,
    pub allocations: f64,
    pub seconds: f64,
    /// Of the processor, in hundredths.
    pub share: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Trace {
    pub samples: Vec<Sample>,
    pub told: Vec<Told>,
    /// When so many requests had been answered.
    pub answered: Vec<(f64, f64)>,
    /// The first sample's milliseconds since reset.
    origin: Option<f64>,
}

impl Trace {
    /// Takes one line of the console; what is none of ours is left out.
    pub fn take(&mut self, line: &str) {
        if let Some(text) = line.strip_prefix("[sampler] sample ") {
            self.samples.extend(self.sample(text));
            if let (None, Some(first)) = (self.origin, self.samples.first_mut()) {
                self.origin = Some(first.at * 1e3);
                first.at = 0.0;
            }
        } else if let Some(text) = line.strip_prefix("[interference] holds ") {
            self.told.extend(told(text, self.end()));
        }
    }

    fn sample(&self, text: &str) -> Option<Sample> {
        let mut words = text.split_whitespace();
        let ms: f64 = words.next()?.parse().ok()?;
        let pools = words.map(pool).collect::<Option<_>>()?;
        let at = (ms - self.origin.unwrap_or(0.0)) / 1e3;
        Some(Sample { at, pools })
    }

    /// The time of the last sample.
    pub fn end(&self) -> f64 {
        self.samples.last().map_or(0.0, |s| s.at)
    }

    fn at(&self, at: f64) -> Option<&Sample> {
        self.samples.iter().rev().find(|s| s.at <= at)
    }

    /// Seconds that the pools of `components` lost to waiting and collecting between two times.
    pub fn lost(&self, components: &[u32], from: f64, to: f64) -> f64 {
        let until = |at| {
            let sample = self.at(at)?;
            let pools = components.iter().filter_map(|c| sample.pools.get(c));
            Some(pools.map(Pool::lost).sum::<f64>())
        };
        until(to).unwrap_or(0.0) - until(from).unwrap_or(0.0)
    }

    /// The same as a share of the time, in hundredths.
    pub fn share(&self, components: &[u32], from: f64, to: f64) -> f64 {
        let (Some(first), Some(last)) = (self.at(from), self.at(to)) else {
            return f64::NAN;
        };
        100.0 * self.lost(components, from, to) / (last.at - first.at)
    }

    /// The sizes of the pools of `components` together, at each sample from one time to another.
    pub fn pages(&self, components: &[u32], from: f64, to: f64) -> Vec<(f64, f64)> {
        let within = self.samples.iter().filter(|s| s.at >= from && s.at < to);
        within
            .map(|s| {
                let pools = components.iter().filter_map(|c| s.pools.get(c));
                (s.at, pools.map(|p| p.limit).sum())
            })
            .collect()
    }

    /// Requests answered until then.
    fn until(&self, at: f64) -> f64 {
        let next = self.answered.partition_point(|a| a.0 <= at);
        match (next.checked_sub(1), self.answered.get(next)) {
            (Some(last), Some(next)) => {
                let last = self.answered[last];
                last.1 + (next.1 - last.1) * (at - last.0) / (next.0 - last.0)
            }
            (Some(last), None) => self.answered[last].1,
            _ => 0.0,
        }
    }

    /// Requests a second.
    pub fn rate(&self, from: f64, to: f64) -> f64 {
        (self.until(to) - self.until(from)) / (to - from)
    }

    /// Standard deviation of the throughput of stretches of `step` seconds, in hundredths of its mean.
    pub fn variation(&self, from: f64, to: f64, step: f64) -> f64 {
        let count = ((to - from) / step) as usize;
        let start = |n: usize| from + n as f64 * step;
        let rates = || (0..count).map(|n| self.rate(start(n), start(n + 1)));
        let mean = rates().sum::<f64>() / count as f64;
        let squares = rates().map(|r| (r - mean) * (r - mean)).sum::<f64>();
        100.0 * (squares / count as f64).sqrt() / mean
    }

    /// The processor's share that the interference took, in hundredths.
    pub fn taken(&self, from: f64, to: f64) -> f64 {
        let told = self.told.iter().filter(|t| t.at > from && t.at <= to);
        let (ran, passed) = told.fold((0.0, 0.0), |(ran, passed), t| {
            (ran + t.share * t.seconds, passed + t.seconds)
        });
        ran / passed
    }
}

/// `COMPONENT:LIMIT,HELD,BLOCKED,COLLECTING,...`
fn pool(word: &str) -> Option<(u32, Pool)> {
    let (component, figures) = word.split_once(':')?;
    let figures: Vec<f64> = figures
        .split(',')
        .map(|n| n.parse().ok())
        .collect::<Option<_>>()?;
    let [limit, _held, blocked, collecting, ..] = figures[..] else {
        return None;
    };
    let pool = Pool {
        limit,
        blocked: blocked / 1e6,
        collecting: collecting / 1e6,
    };
    Some((component.parse().ok()?, pool))
}

/// `N pages, made N allocations in N ms, took N% of the processor`
fn told(text: &str, at: f64) -> Option<Told> {
    let numbers: Vec<f64> = text
        .split_whitespace()
        .filter_map(|w| w.trim_end_matches('%').parse().ok())
        .collect();
    let [_pages, allocations, ms, share] = numbers[..] else {
        return None;
    };
    Some(Told {
        at,
        allocations,
        seconds: ms / 1e3,
        share,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> Trace {
        let mut trace = Trace::default();
        for line in [
            "[cbuf-policy] policy limited",
            "[sampler] sample 400 4:40,38,0,1000,2,3,4,0 9:5,0,0,0,0,0,0,0",
            "[sampler] sample 1400 4:50,38,250000,51000,2,3,4,0 9:5,0,0,0,0,0,0,0",
            "[interference] holds 64 pages, made 8000 allocations in 1000 ms, took 12.5% of the processor",
            "[sampler] sample 2400 4:50,38,250000,51000,2,3,4,0 9:25,0,500000,0,0,0,0,1",
            "[sampler] sample 3400 4:broken",
        ] {
            trace.take(line);
        }
        trace.answered = vec![(0.5, 0.0), (1.5, 100.0), (2.5, 400.0)];
        trace
    }

    #[test]
    fn lines_become_figures() {
        let trace = trace();
        assert_eq!((trace.samples.len(), trace.end()), (3, 2.0));
        assert!((trace.lost(&[4], 0.0, 1.0) - 0.3).abs() < 1e-9);
        assert!((trace.share(&[4, 9], 0.0, 2.0) - 40.0).abs() < 1e-9);
        assert_eq!(trace.pages(&[4, 9], 0.5, 9.0), [(1.0, 55.0), (2.0, 75.0)]);
        assert_eq!(trace.taken(0.0, 2.0), 12.5);
        assert_eq!(trace.told[0].allocations, 8000.0);
    }

    #[test]
    fn rates_are_those_between_looks() {
        let trace = trace();
        assert_eq!(trace.rate(0.5, 1.5), 100.0);
        assert_eq!(trace.rate(1.0, 2.0), 200.0);
        assert_eq!(trace.variation(0.5, 2.5, 1.0), 50.0);
        assert_eq!(trace.variation(1.5, 2.5, 0.25), 0.0);
    }
}
