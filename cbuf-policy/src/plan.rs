//! What was chosen, in numbers.

use core::fmt;

/// The ways to share: four that decide, and one that does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// Every pool what it wants, as long as there is any.
    #[default]
    Throughput,
    /// The least loss in all that a limit allows.
    Limited,
    /// Pools of higher priority first.
    Priority,
    /// Applications with a target first, up to it.
    Qos,
    /// The sizes that were said, to compare the others with.
    Static,
}

impl Policy {
    pub const ALL: [Self; 5] = [
        Self::Throughput,
        Self::Limited,
        Self::Priority,
        Self::Qos,
        Self::Static,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Throughput => "throughput",
            Self::Limited => "limited",
            Self::Priority => "priority",
            Self::Qos => "qos",
            Self::Static => "static",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    /// The name in two words, as it travels over interfaces: bytes in order, zeros behind.
    pub fn words(self) -> [u64; 2] {
        let mut bytes = [[0; 8]; 2];
        for (to, from) in bytes.as_flattened_mut().iter_mut().zip(self.name().bytes()) {
            *to = from;
        }
        bytes.map(u64::from_le_bytes)
    }

    pub fn from_words(words: [u64; 2]) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.words() == words)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The share of time that an application may lose: those components with a pool that its
/// component reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    pub component: u32,
    /// Millionths of the time.
    pub share: u64,
}

/// Targets at most.
pub const TARGETS: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    pub policy: Policy,
    /// Pages for all pools together; `None`: all that the manager has.
    pub limit: Option<u64>,
    pub targets: [Option<Target>; TARGETS],
}

impl Plan {
    pub fn targets(&self) -> impl Iterator<Item = Target> {
        self.targets.iter().flatten().copied()
    }

    /// Sets or changes a component's target; `false` where there are too many.
    pub fn set_target(&mut self, target: Target) -> bool {
        let same = |t: &&mut Option<Target>| t.is_none_or(|t| t.component == target.component);
        let place = self.targets.iter_mut().find(same);
        place.map(|place| *place = Some(target)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_journey() {
        for policy in Policy::ALL {
            assert_eq!(Policy::named(policy.name()), Some(policy));
            assert_eq!(Policy::from_words(policy.words()), Some(policy));
        }
        assert_eq!(Policy::named("QoS"), None);
        assert_eq!(Policy::from_words([0, 0]), None);
    }

    #[test]
    fn a_target_is_changed_in_place() {
        let mut plan = Plan::default();
        for component in 0..TARGETS as u32 {
            assert!(plan.set_target(Target {
                component,
                share: 1
            }));
        }
        let more = Target {
            component: 99,
            share: 1,
        };
        assert!(!plan.set_target(more));
        let changed = Target {
            component: 3,
            share: 7,
        };
        assert!(plan.set_target(changed));
        assert_eq!(plan.targets().nth(3), Some(changed));
        assert_eq!(plan.targets().count(), TARGETS);
    }
}
