//! The choice as text: what the kernel command line, the image and `cargo xtask run` say.
//!
//! `policy=NAME memory-limit=300p qos=webserver=10%,cgi=5% priority=webserver=30
//! sizes=webserver=60,cgi=40`, words in any
//! order; of a key that comes twice the last counts. Words with other keys are refused.

use crate::plan::TARGETS;
use crate::{Plan, Policy, Target, WHOLE};
use core::fmt;

const PAGE: u64 = 4096;
const LEAST_SHARE: u64 = WHOLE / 1000;
const MOST_SHARE: u64 = WHOLE * 9 / 10;

/// Why a choice is none. Each sentence says what is accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem<'a> {
    Policy(&'a str),
    Limit(&'a str),
    Target(&'a str),
    Priority(&'a str),
    Size(&'a str),
    Setting(&'a str),
    /// A name that is no component with a pool.
    Component(&'a str),
    TooManyTargets,
    NoTarget,
}

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(text) => {
                write!(f, "there is no policy '{text}': it is one of")?;
                for (n, policy) in Policy::ALL.iter().enumerate() {
                    write!(f, "{}{policy}", if n == 0 { " " } else { ", " })?;
                }
                Ok(())
            }
            Self::Limit(text) => write!(
                f,
                "'{text}' is no memory limit: it is a number of pages or of bytes above zero, like 300p, 512KiB or 2MiB"
            ),
            Self::Target(text) => write!(
                f,
                "'{text}' is no QoS target: it is COMPONENT=SHARE% with a share from 0.1 to 90, like webserver=10%; several are separated by commas"
            ),
            Self::Priority(text) => write!(
                f,
                "'{text}' is no priority of a pool: it is COMPONENT=NUMBER, like webserver=30, where a larger number is served first; several are separated by commas"
            ),
            Self::Size(text) => write!(
                f,
                "'{text}' is no size of a pool: it is COMPONENT=PAGES, like webserver=60; several are separated by commas"
            ),
            Self::Setting(text) => write!(
                f,
                "'{text}' is no setting of the policy: those are policy=, memory-limit=, qos=, priority= and sizes="
            ),
            Self::Component(name) => write!(
                f,
                "'{name}' is no component with a pool in this image, so it can have neither a QoS target nor a priority nor a size; those with one are"
            ),
            Self::TooManyTargets => write!(f, "at most {TARGETS} components can have a QoS target"),
            Self::NoTarget => f.write_str(
                "the policy qos needs a target: qos=COMPONENT=SHARE%, like qos=webserver=10%",
            ),
        }
    }
}

/// A choice that can be read, with its names still to be looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settings<'a> {
    pub policy: Policy,
    pub limit: Option<u64>,
    targets: &'a str,
    priorities: &'a str,
    sizes: &'a str,
}

impl<'a> Settings<'a> {
    /// Reads `KEY=VALUE` words.
    pub fn parse(text: &'a str) -> Result<Self, Problem<'a>> {
        let mut settings = Self::default();
        for word in text.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("policy", name)) => {
                    settings.policy = Policy::named(name).ok_or(Problem::Policy(name))?;
                }
                Some(("memory-limit", size)) => {
                    settings.limit = Some(pages(size).ok_or(Problem::Limit(size))?);
                }
                Some(("qos", list)) => settings.targets = list,
                Some(("priority", list)) => settings.priorities = list,
                Some(("sizes", list)) => settings.sizes = list,
                _ => return Err(Problem::Setting(word)),
            }
        }
        if settings.targets().count() > TARGETS {
            return Err(Problem::TooManyTargets);
        }
        if let Some(problem) = settings.targets().find_map(Result::err) {
            return Err(problem);
        }
        if let Some(problem) = settings.priorities().find_map(Result::err) {
            return Err(problem);
        }
        if let Some(problem) = settings.sizes().find_map(Result::err) {
            return Err(problem);
        }
        if settings.policy == Policy::Qos && settings.targets.is_empty() {
            return Err(Problem::NoTarget);
        }
        Ok(settings)
    }

    /// Components and the shares they may lose, in millionths.
    pub fn targets(&self) -> impl Iterator<Item = Result<(&'a str, u64), Problem<'a>>> {
        list(self.targets).map(|word| target(word).ok_or(Problem::Target(word)))
    }

    /// Components and the priority of their applications' pools.
    pub fn priorities(&self) -> impl Iterator<Item = Result<(&'a str, u32), Problem<'a>>> {
        list(self.priorities).map(|word| numbered(word).ok_or(Problem::Priority(word)))
    }

    /// Components and the sizes of their pools where no policy decides.
    pub fn sizes(&self) -> impl Iterator<Item = Result<(&'a str, u32), Problem<'a>>> {
        list(self.sizes).map(|word| numbered(word).ok_or(Problem::Size(word)))
    }

    /// The plan, with each name looked up among the components that have a pool.
    pub fn plan(&self, find: impl Fn(&str) -> Option<u32>) -> Result<Plan, Problem<'a>> {
        let mut plan = Plan {
            policy: self.policy,
            limit: self.limit,
            ..Plan::default()
        };
        for target in self.targets() {
            let (name, share) = target?;
            let component = find(name).ok_or(Problem::Component(name))?;
            if !plan.set_target(Target { component, share }) {
                return Err(Problem::TooManyTargets);
            }
        }
        for named in self.priorities().chain(self.sizes()) {
            let (name, _) = named?;
            find(name).ok_or(Problem::Component(name))?;
        }
        Ok(plan)
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    // An empty list is none; an empty element of one is a mistake.
    let words = (!text.is_empty()).then(|| text.split(','));
    words.into_iter().flatten()
}

/// `webserver=30`.
fn numbered(word: &str) -> Option<(&str, u32)> {
    let (name, number) = word.split_once('=')?;
    let plain = !name.is_empty() && !number.starts_with('+');
    plain.then_some((name, number.parse().ok()?))
}

/// `300p`, `512KiB`, `2MiB`: whole pages, above zero.
fn pages(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let number: u64 = number.parse().ok()?;
    let bytes = |unit: u64| number.checked_mul(unit).map(|bytes| bytes / PAGE);
    let pages = match unit {
        "p" => number,
        "KiB" => bytes(1 << 10)?,
        "MiB" => bytes(1 << 20)?,
        _ => return None,
    };
    (pages > 0).then_some(pages)
}

/// `webserver=10%`, `cgi=2.5%`.
fn target(text: &str) -> Option<(&str, u64)> {
    let (name, share) = text.split_once('=')?;
    let (whole, fraction) = match share.strip_suffix('%')?.split_once('.') {
        Some((whole, fraction)) => (whole, fraction),
        None => (share.strip_suffix('%')?, "0"),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let plain = digits(whole) && digits(fraction) && fraction.len() <= 4 && !name.is_empty();
    plain.then_some(())?;
    let fine = 10u64.pow(4 - fraction.len() as u32);
    let whole = whole.parse::<u64>().ok()?.checked_mul(WHOLE / 100)?;
    let share = whole.checked_add(fraction.parse::<u64>().ok()? * fine)?;
    sensible(share).then_some((name, share))
}

/// Whether a share in millionths makes sense as a target: 0.1% to 90%.
pub fn sensible(share: u64) -> bool {
    (LEAST_SHARE..=MOST_SHARE).contains(&share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(name: &str) -> Option<u32> {
        ["webserver", "cgi"]
            .iter()
            .position(|n| *n == name)
            .map(|n| n as u32)
    }

    #[test]
    fn nothing_said_is_throughput_with_all_memory() {
        let settings = Settings::parse("").unwrap();
        assert_eq!(settings.plan(find), Ok(Plan::default()));
    }

    #[test]
    fn everything_said() {
        let text = "policy=qos memory-limit=300p qos=webserver=10%,cgi=2.5% priority=cgi=7";
        let settings = Settings::parse(text).unwrap();
        let plan = settings.plan(find).unwrap();
        assert_eq!((plan.policy, plan.limit), (Policy::Qos, Some(300)));
        let targets: Vec<_> = plan.targets().map(|t| (t.component, t.share)).collect();
        assert_eq!(targets, [(0, 100_000), (1, 25_000)]);
        let priorities: Vec<_> = settings.priorities().collect();
        assert_eq!(priorities, [Ok(("cgi", 7))]);
    }

    #[test]
    fn the_last_word_counts() {
        let settings = Settings::parse("policy=limited memory-limit=1MiB policy=priority");
        let settings = settings.unwrap();
        assert_eq!(settings.policy, Policy::Priority);
        assert_eq!(settings.limit, Some(256));
    }

    #[test]
    fn nonsense_is_refused_with_what_is_accepted() {
        let refused = |text: &'static str| {
            let problem = Settings::parse(text)
                .and_then(|s| s.plan(find))
                .unwrap_err();
            let sentence = problem.to_string();
            assert!(!sentence.contains('\n'));
            sentence
        };
        assert_eq!(
            refused("policy=fast"),
            "there is no policy 'fast': it is one of throughput, limited, priority, qos, static"
        );
        for limit in [
            "",
            "300",
            "0p",
            "-1p",
            "3.5p",
            "p",
            "300P",
            "1KiB",
            "99999999999999999999p",
        ] {
            let text = format!("memory-limit={limit}");
            let sentence = Settings::parse(&text).unwrap_err().to_string();
            assert!(sentence.starts_with(&format!("'{limit}' is no memory limit")));
            assert!(sentence.contains("300p, 512KiB or 2MiB"));
        }
        for target in [
            "webserver",
            "webserver=10",
            "=10%",
            "webserver=%",
            "webserver=0%",
            "webserver=0.09%",
            "webserver=90.1%",
            "webserver=-1%",
            "webserver=1.%",
            "webserver=.5%",
            "a=1%,",
            "webserver=1.23456%",
            "webserver=99999999999999999999%",
        ] {
            let text = format!("policy=qos qos={target}");
            let problem = Settings::parse(&text).unwrap_err();
            assert!(matches!(problem, Problem::Target(_)), "{target}: {problem}");
            assert!(problem.to_string().contains("like webserver=10%"));
        }
        for priority in ["cgi", "cgi=", "cgi=high", "=3", "cgi=+3", "cgi=-3"] {
            let text = format!("priority={priority}");
            let problem = Settings::parse(&text).unwrap_err();
            assert_eq!(problem, Problem::Priority(priority));
        }
        for size in ["cgi", "cgi=", "cgi=3p", "=3", "cgi=+3", "cgi=1,"] {
            let text = format!("sizes={size}");
            let problem = Settings::parse(&text).unwrap_err();
            assert!(matches!(problem, Problem::Size(_)), "{size}: {problem}");
        }
        assert!(refused("policy=static sizes=nobody=1").starts_with("'nobody' is no component"));
        assert!(refused("policy=qos").contains("needs a target"));
        assert!(refused("qos=nobody=10%").starts_with("'nobody' is no component with a pool"));
        assert!(refused("priority=nobody=1").starts_with("'nobody' is no component"));
        assert!(refused("speed=9").contains("qos=, priority= and sizes="));
        assert!(refused("quiet").starts_with("'quiet' is no setting"));
        let nine: Vec<_> = (0..9).map(|n| format!("c{n}=1%")).collect();
        let text = format!("qos={}", nine.join(","));
        assert_eq!(Settings::parse(&text), Err(Problem::TooManyTargets));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z0-9=%.,+ -]{0,60}") {
            let _ = Settings::parse(&text).map(|s| s.plan(find));
        }

        #[test]
        fn any_share_that_makes_sense_is_read(thousandths in 1u64..=900) {
            let text = format!("policy=qos qos=cgi={}.{}%", thousandths / 10, thousandths % 10);
            let plan = Settings::parse(&text).unwrap().plan(find).unwrap();
            let target = Target { component: 1, share: thousandths * 1000 };
            prop_assert_eq!(plan.targets().next(), Some(target));
        }
    }
}
