//! The kernel command line: `NAME.KEY=VALUE` becomes `KEY=VALUE` among component NAME's
//! arguments, behind what the image description says, so that it counts.

/// One word of a command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word<'a> {
    /// `KEY=VALUE` for a component.
    Setting { component: &'a str, text: &'a str },
    /// It is not of that form.
    Other(&'a str),
}

/// The words of a command line.
pub fn words(line: &str) -> impl Iterator<Item = Word<'_>> {
    line.split_ascii_whitespace().map(|word| {
        let setting = word.split_once('.').filter(|(component, text)| {
            let key = text.split_once('=').map_or("", |(key, _)| key);
            !component.is_empty() && !component.contains('=') && !key.is_empty()
        });
        match setting {
            Some((component, text)) => Word::Setting { component, text },
            None => Word::Other(word),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn parse(line: &str) -> Vec<Word<'_>> {
        words(line).collect()
    }

    #[test]
    fn settings_name_a_component_and_a_key() {
        let setting = |component, text| Word::Setting { component, text };
        assert_eq!(
            parse(" netstack.ip=10.0.2.15/24  policy.kind=qos "),
            [
                setting("netstack", "ip=10.0.2.15/24"),
                setting("policy", "kind=qos"),
            ]
        );
        assert_eq!(parse("a.b="), [setting("a", "b=")]);
    }

    #[test]
    fn everything_else_is_named_as_it_is() {
        for word in ["quiet", "a=b", ".k=v", "a.", "a.k", "a.=v", "x=1.2", "="] {
            assert_eq!(parse(word), [Word::Other(word)], "{word}");
        }
        assert_eq!(parse("  \t"), []);
    }
}
