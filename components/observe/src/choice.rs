//! A choice of policy as text: the words of the kernel command line, each of them optional.

use alloc::vec::Vec;
use core::fmt;

use cbuf_policy::Policy;
use cbuf_policy::settings::{Problem, Settings};

/// Longest text.
pub const BYTES_MAX: usize = 1024;

/// What to change; all else stays.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Choice<'a> {
    pub policy: Option<Policy>,
    /// `Some(None)` takes the limit away. Pages.
    pub limit: Option<Option<u64>>,
    /// Components and the shares they may lose, in millionths.
    pub targets: Vec<(&'a str, u64)>,
}

/// Why a text is no choice, in one sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal<'a> {
    /// As it would stop the boot.
    Setting(Problem<'a>),
    Word(&'a str),
    Nothing,
    NotText,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(problem) => problem.fmt(f),
            Self::Word(word) => write!(
                f,
                "'{word}' is no choice: those are policy=NAME, memory-limit=SIZE, memory-limit=none and qos=COMPONENT=SHARE%"
            ),
            Self::Nothing => f.write_str(
                "nothing is chosen: policy=NAME, memory-limit=SIZE and qos=COMPONENT=SHARE% are what can be",
            ),
            Self::NotText => f.write_str("the choice is no text in UTF-8"),
        }
    }
}

impl<'a> Choice<'a> {
    /// Reads words in any order; of a key that comes twice the last counts.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Refusal<'a>> {
        let text = core::str::from_utf8(bytes).map_err(|_| Refusal::NotText)?;
        let mut choice = Self::default();
        for word in text.split_ascii_whitespace() {
            let setting = || Settings::parse(word).map_err(Refusal::Setting);
            match word.split_once('=') {
                // By itself, since `qos` may have its target already.
                Some(("policy", name)) => {
                    let policy = Policy::named(name);
                    let unknown = Refusal::Setting(Problem::Policy(name));
                    choice.policy = Some(policy.ok_or(unknown)?);
                }
                Some(("memory-limit", "none")) => choice.limit = Some(None),
                Some(("memory-limit", _)) => choice.limit = Some(setting()?.limit),
                Some(("qos", _)) => {
                    let settings = setting()?;
                    choice.targets.clear();
                    choice.targets.extend(settings.targets().flatten());
                }
                _ => return Err(Refusal::Word(word)),
            }
        }
        if choice == Self::default() {
            return Err(Refusal::Nothing);
        }
        Ok(choice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn every_word_is_optional() {
        let all = Choice::parse(b" policy=qos\tmemory-limit=300p qos=webserver=10%,cgi=2.5%\r\n");
        let expected = Choice {
            policy: Some(Policy::Qos),
            limit: Some(Some(300)),
            targets: [("webserver", 100_000), ("cgi", 25_000)].into(),
        };
        assert_eq!(all, Ok(expected));
        assert_eq!(
            Choice::parse(b"memory-limit=none").unwrap().limit,
            Some(None)
        );
        let twice = Choice::parse(b"policy=qos memory-limit=1MiB policy=limited").unwrap();
        assert_eq!(twice.policy, Some(Policy::Limited));
        assert_eq!(twice.limit, Some(Some(256)));
    }

    #[test]
    fn nonsense_gets_one_sentence() {
        for (text, begins) in [
            (
                "policy=fair",
                "there is no policy 'fair': it is one of throughput, limited, priority, qos",
            ),
            ("policy=", "there is no policy '': it is one of"),
            ("memory-limit=0p", "'0p' is no memory limit"),
            ("memory-limit=300", "'300' is no memory limit"),
            ("qos=webserver=95%", "'webserver=95%' is no QoS target"),
            ("qos=webserver", "'webserver' is no QoS target"),
            ("priority=cgi=7", "'priority=cgi=7' is no choice: those are"),
            ("limited", "'limited' is no choice"),
            ("", "nothing is chosen"),
            (" \n", "nothing is chosen"),
        ] {
            let why = Choice::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(why.starts_with(begins) && !why.contains('\n'), "{why}");
        }
        assert_eq!(Choice::parse(b"policy=\xff"), Err(Refusal::NotText));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Choice::parse(&text).map_err(|why| why.to_string());
        }

        #[test]
        fn no_word_panics(text in "(policy|memory-limit|qos)[=a-z0-9.,%]{0,20}") {
            let _ = Choice::parse(text.as_bytes()).map_err(|why| why.to_string());
        }
    }
}
