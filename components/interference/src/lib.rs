//! When an interference runs and how much memory it cannot do without: the profile of section 5.3
//! of the CBUFs paper, as arguments say it. The component around it (`main.rs`) allocates by it;
//! `sampler.rs` tells meanwhile what all pools do.
//!
//! Guarantees: a profile that was read is in order (start, rise, fall, end) and its demand is
//! between 1 page and [`MOST_PAGES`]. Trusts nothing of the text. Never does: allocate, block, or
//! read a clock.

#![cfg_attr(not(test), no_std)]

use core::fmt;

/// The most pages that a profile can ask for.
pub const MOST_PAGES: u64 = 512;

/// Times are in milliseconds since the component began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Profile {
    pub start: u64,
    /// From `start` to here the demand rises from `low` to `high` pages.
    pub peak: u64,
    /// From here on it is `after` pages.
    pub fall: u64,
    pub end: u64,
    pub low: u64,
    pub high: u64,
    pub after: u64,
    /// How often it works.
    pub period: u64,
    /// Allocations in each period.
    pub allocations: u64,
    /// Of the processor's time, in hundredths.
    pub share: u64,
}

impl Profile {
    /// The paper's, but for the allocations: those of a period take the share of the time with
    /// what is done to each buffer.
    pub const PAPER: Self = Self {
        start: 21_000,
        peak: 31_000,
        fall: 41_000,
        end: 45_000,
        low: 5,
        high: 64,
        after: 10,
        period: 10,
        allocations: 80,
        share: 10,
    };
}

/// Why arguments are no profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem<'a> {
    Word(&'a str),
    Number(&'a str),
    Order,
    Pages,
    Rate,
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(
                f,
                "'{word}' is no part of a profile: those are start=, peak=, fall=, end=, period= in milliseconds, low=, high=, after= in pages, allocations=, share= in hundredths, and faster="
            ),
            Self::Number(word) => write!(f, "'{word}' needs a whole number above zero"),
            Self::Order => f.write_str("a profile needs start < peak < fall < end"),
            Self::Pages => write!(f, "a profile needs 1 to {MOST_PAGES} pages at any time"),
            Self::Rate => f.write_str("a profile needs a share below 100"),
        }
    }
}

impl Profile {
    /// Reads `KEY=NUMBER` words; what is not said is as in [`Profile::PAPER`]. `faster=N` divides
    /// all times but the period.
    pub fn parse(text: &str) -> Result<Self, Problem<'_>> {
        let mut profile = Self::PAPER;
        let mut faster = 1;
        for word in text.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').ok_or(Problem::Word(word))?;
            let place = match key {
                "start" => &mut profile.start,
                "peak" => &mut profile.peak,
                "fall" => &mut profile.fall,
                "end" => &mut profile.end,
                "low" => &mut profile.low,
                "high" => &mut profile.high,
                "after" => &mut profile.after,
                "period" => &mut profile.period,
                "allocations" => &mut profile.allocations,
                "share" => &mut profile.share,
                "faster" => &mut faster,
                _ => return Err(Problem::Word(word)),
            };
            let number = value.parse().ok().filter(|n| *n > 0);
            *place = number.ok_or(Problem::Number(word))?;
        }
        let times = [
            &mut profile.start,
            &mut profile.peak,
            &mut profile.fall,
            &mut profile.end,
        ];
        times.into_iter().for_each(|time| *time /= faster);
        let order = [profile.start, profile.peak, profile.fall, profile.end];
        if !order.is_sorted_by(|a, b| a < b) {
            return Err(Problem::Order);
        }
        let pages = [profile.low, profile.high, profile.after];
        if pages.into_iter().any(|pages| pages > MOST_PAGES) {
            return Err(Problem::Pages);
        }
        if profile.share >= 100 {
            return Err(Problem::Rate);
        }
        Ok(profile)
    }

    /// The pages that it cannot do without so long after it began; `None` while it rests.
    pub fn demand(&self, ms: u64) -> Option<u64> {
        if ms < self.start || ms >= self.end {
            None
        } else if ms < self.peak {
            let (done, whole) = (ms - self.start, self.peak - self.start);
            let part = |from: u64, by: u64| {
                u64::try_from(u128::from(from) * u128::from(by) / u128::from(whole)).unwrap_or(0)
            };
            Some(part(self.low, whole - done) + part(self.high, done)).map(|pages| pages.max(1))
        } else if ms < self.fall {
            Some(self.high)
        } else {
            Some(self.after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_said_is_the_papers_profile() {
        let profile = Profile::parse("").unwrap();
        let at = |seconds: f64| profile.demand((seconds * 1e3) as u64);
        assert_eq!((at(0.0), at(20.999)), (None, None));
        assert_eq!(
            (at(21.0), at(31.0), at(40.999)),
            (Some(5), Some(64), Some(64))
        );
        assert!(at(26.0).is_some_and(|pages| (33..=35).contains(&pages)));
        assert_eq!((at(41.0), at(44.999), at(45.0)), (Some(10), Some(10), None));
    }

    #[test]
    fn a_factor_shortens_all_but_the_period() {
        let profile = Profile::parse("faster=10 high=32 period=5").unwrap();
        assert_eq!(
            (profile.start, profile.end, profile.period),
            (2100, 4500, 5)
        );
        assert_eq!(profile.demand(3100), Some(32));
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        let refused = |text: &'static str| Profile::parse(text).unwrap_err();
        for text in ["pages=3", "quick", "start"] {
            assert!(matches!(refused(text), Problem::Word(_)));
        }
        for text in ["start=", "start=-1", "start=0", "low=1.5", "faster=0"] {
            assert_eq!(refused(text), Problem::Number(text));
        }
        for text in ["start=31000", "end=41000", "faster=50000"] {
            assert_eq!(refused(text), Problem::Order);
        }
        assert_eq!(refused("high=513"), Problem::Pages);
        assert_eq!(refused("share=100"), Problem::Rate);
        assert!(refused("speed=9").to_string().contains("faster="));
    }

    proptest! {
        #[test]
        fn demand_stays_between_its_ends(
            times in prop::collection::btree_set(1u64..100_000, 4),
            pages in prop::collection::vec(1u64..=MOST_PAGES, 3),
            at in 0u64..120_000,
        ) {
            let times: Vec<u64> = times.into_iter().collect();
            let text = format!(
                "start={} peak={} fall={} end={} low={} high={} after={}",
                times[0], times[1], times[2], times[3], pages[0], pages[1], pages[2]
            );
            let demand = Profile::parse(&text).unwrap().demand(at);
            prop_assert_eq!(demand.is_some(), (times[0]..times[3]).contains(&at));
            let (least, most) = (pages.iter().min().unwrap(), pages.iter().max().unwrap());
            // The rise is rounded down twice.
            prop_assert!(demand.is_none_or(|d| d + 2 > *least && d <= *most && d > 0));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9= -]{0,40}") {
            let _ = Profile::parse(&text).map_err(|p| p.to_string());
        }
    }
}
