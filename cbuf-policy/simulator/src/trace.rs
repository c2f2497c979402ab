//! What a run showed, a row for each client and period.

/// One client in one period.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Period {
    /// When it ended.
    pub time_ms: u64,
    /// Pages at its end.
    pub limit: u64,
    pub held: u64,
    /// Shares of the period.
    pub blocked: f64,
    pub collecting: f64,
    /// Allocations a second.
    pub rate: f64,
}

impl Period {
    pub fn lost(&self) -> f64 {
        self.blocked + self.collecting
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct Lane {
    pub component: u32,
    pub name: &'static str,
    pub periods: Vec<Period>,
}

#[derive(Clone, PartialEq, Debug, Default)]
pub struct Trace {
    pub lanes: Vec<Lane>,
    /// Sizes that the manager would have refused.
    pub refused: usize,
    /// The most pages that pools had in all.
    pub most_pages: u64,
}

impl Trace {
    pub fn lane(&self, component: u32) -> &[Period] {
        let lane = self.lanes.iter().find(|l| l.component == component);
        lane.map_or(&[], |l| &l.periods)
    }

    /// One client's periods that end in `from..to` milliseconds.
    pub fn between(
        &self,
        component: u32,
        from_ms: u64,
        to_ms: u64,
    ) -> impl Iterator<Item = &Period> {
        let inside = move |p: &&Period| p.time_ms > from_ms && p.time_ms <= to_ms;
        self.lane(component).iter().filter(inside)
    }

    pub fn mean(&self, component: u32, from_ms: u64, to_ms: u64, f: fn(&Period) -> f64) -> f64 {
        let (sum, count) = self
            .between(component, from_ms, to_ms)
            .fold((0.0, 0.0), |(sum, count), p| (sum + f(p), count + 1.0));
        if count == 0.0 { 0.0 } else { sum / count }
    }

    /// Standard deviation by mean of the throughput.
    pub fn variation(&self, component: u32, from_ms: u64, to_ms: u64) -> f64 {
        let mean = self.mean(component, from_ms, to_ms, |p| p.rate);
        let (sum, count) = self
            .between(component, from_ms, to_ms)
            .fold((0.0, 0.0), |(sum, count), p| {
                (sum + (p.rate - mean).powi(2), count + 1.0)
            });
        if count == 0.0 || mean == 0.0 {
            0.0
        } else {
            (sum / count).sqrt() / mean
        }
    }

    /// Seconds that all lost together.
    pub fn lost_seconds(&self, from_ms: u64, to_ms: u64) -> f64 {
        let seconds = (to_ms - from_ms) as f64 / 1000.0;
        let lost = |lane: &Lane| self.mean(lane.component, from_ms, to_ms, Period::lost);
        self.lanes.iter().map(lost).sum::<f64>() * seconds
    }
}
