//! The stages by name, their times, and how one fails.

use core::fmt;

/// The stages in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Decode,
    Features,
    Match,
    Estimate,
    Warp,
    Exposure,
    Seams,
    Blend,
    Encode,
}

impl Stage {
    pub const ALL: [Self; 9] = [
        Self::Decode,
        Self::Features,
        Self::Match,
        Self::Estimate,
        Self::Warp,
        Self::Exposure,
        Self::Seams,
        Self::Blend,
        Self::Encode,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Features => "features",
            Self::Match => "match",
            Self::Estimate => "estimate",
            Self::Warp => "warp",
            Self::Exposure => "exposure",
            Self::Seams => "seams",
            Self::Blend => "blend",
            Self::Encode => "encode",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Time that each stage took, in the unit of the clock that measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times([u64; Stage::ALL.len()]);

impl Times {
    pub fn of(&self, stage: Stage) -> u64 {
        self.0[stage as usize]
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Does `work` and adds the time it took to the stage's.
    pub fn measure<T>(
        &mut self,
        stage: Stage,
        clock: &mut dyn FnMut() -> u64,
        work: impl FnOnce() -> T,
    ) -> T {
        let begin = clock();
        let result = work();
        self.0[stage as usize] += clock().saturating_sub(begin);
        result
    }
}

/// What a stage said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    Compose(cistern_compose::Error),
    Register(cistern_register::Error),
    Image(cistern_image::Error),
}

impl From<cistern_compose::Error> for Why {
    fn from(error: cistern_compose::Error) -> Self {
        Self::Compose(error)
    }
}

impl From<cistern_register::Error> for Why {
    fn from(error: cistern_register::Error) -> Self {
        Self::Register(error)
    }
}

impl From<cistern_image::Error> for Why {
    fn from(error: cistern_image::Error) -> Self {
        Self::Image(error)
    }
}

/// Which stage refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    pub stage: Stage,
    pub why: Why,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.stage)?;
        match &self.why {
            Why::Compose(why) => why.fmt(f),
            Why::Register(why) => why.fmt(f),
            Why::Image(why) => why.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_and_a_clock_that_steps_back_does_no_harm() {
        let mut times = Times::default();
        let mut now = 0;
        let mut clock = || {
            now += 5;
            now
        };
        assert_eq!(times.measure(Stage::Warp, &mut clock, || 7), 7);
        times.measure(Stage::Warp, &mut clock, || ());
        times.measure(Stage::Blend, &mut clock, || ());
        assert_eq!((times.of(Stage::Warp), times.total()), (10, 15));
        let mut back = [9, 3].into_iter();
        times.measure(Stage::Blend, &mut || back.next().unwrap_or(0), || ());
        assert_eq!(times.total(), 15);
    }

    #[test]
    fn stages_stand_where_they_run() {
        for (at, stage) in Stage::ALL.into_iter().enumerate() {
            assert_eq!(stage as usize, at);
        }
    }
}
