//! The Prometheus text format read strictly, for tests: what a scraper would accept, and what it
//! would let pass though it makes no sense (a family in two places, a histogram that falls).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// One line with a value.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Sample {
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// All samples, or what is wrong and in which line.
pub fn parse(text: &str) -> Result<Vec<Sample>, String> {
    if !text.ends_with('\n') {
        return Err("the last line has no end".into());
    }
    let mut state = State::default();
    for (n, line) in text.lines().enumerate() {
        state
            .line(line)
            .map_err(|why| format!("line {}: {why}: {line}", n + 1))?;
    }
    state.end_family()?;
    Ok(state.samples)
}

#[derive(Default)]
struct State {
    samples: Vec<Sample>,
    families: BTreeSet<String>,
    /// The family whose lines are read, its type, and where its samples begin.
    family: String,
    kind: Option<String>,
    from: usize,
    seen: BTreeSet<String>,
}

const KINDS: [&str; 5] = ["counter", "gauge", "histogram", "summary", "untyped"];

impl State {
    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or("HELP without a text")?;
            self.end_family()?;
            if !is_name(name) || help.trim().is_empty() {
                return Err("a malformed HELP".into());
            }
            if !self.families.insert(name.into()) {
                return Err("a family in two places".into());
            }
            (self.family, self.kind, self.from) = (name.into(), None, self.samples.len());
            return Ok(());
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or("TYPE without a type")?;
            if name != self.family || self.kind.is_some() || !KINDS.contains(&kind) {
                return Err("a TYPE in the wrong place, or of no known type".into());
            }
            if kind == "counter" && !name.ends_with("_total") {
                return Err("a counter's name does not end in _total".into());
            }
            self.kind = Some(kind.into());
            return Ok(());
        }
        let sample = sample(line)?;
        let kind = self.kind.as_deref().ok_or("a sample before its TYPE")?;
        let own = match kind {
            "histogram" => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|part| sample.name.strip_suffix(part) == Some(&self.family)),
            _ => sample.name == self.family,
        };
        if !own {
            return Err("a sample among another family's".into());
        }
        if kind == "counter" && (sample.value.is_nan() || sample.value < 0.0) {
            return Err("a counter below zero, or none".into());
        }
        if !self
            .seen
            .insert(format!("{}{:?}", sample.name, sample.labels))
        {
            return Err("the same sample twice".into());
        }
        self.samples.push(sample);
        Ok(())
    }

    fn end_family(&mut self) -> Result<(), String> {
        if self.kind.as_deref() != Some("histogram") {
            return Ok(());
        }
        let (mut bound, mut count) = (f64::NEG_INFINITY, 0.0);
        let mut total = None;
        for sample in &self.samples[self.from..] {
            if sample.name.ends_with("_bucket") {
                let le = number(sample.label("le")).ok_or("a bucket without a bound")?;
                if le <= bound || sample.value < count {
                    return Err(format!("the buckets of {} fall", self.family));
                }
                (bound, count) = (le, sample.value);
            } else if sample.name.ends_with("_count") {
                total = Some(sample.value);
            }
        }
        if bound != f64::INFINITY || total != Some(count) {
            return Err(format!(
                "the last bucket of {} is not its count",
                self.family
            ));
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == ':')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        _ => text.parse().ok(),
    }
}

/// `name{label="value",...} value`
fn sample(line: &str) -> Result<Sample, String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, rest) = line.split_at(end);
    if !is_name(name) {
        return Err("a malformed name".into());
    }
    let mut labels = BTreeMap::new();
    let mut rest = rest;
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("a label without a value")?;
            if !is_name(label) || label.contains(':') {
                return Err("a malformed label".into());
            }
            let (value, after) = quoted(after)?;
            if labels.insert(label.to_string(), value).is_some() {
                return Err("a label twice".into());
            }
            match after.strip_prefix(',') {
                Some(more) => rest = more,
                None => {
                    rest = after.strip_prefix('}').ok_or("labels do not end")?;
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').and_then(number);
    Ok(Sample {
        name: name.into(),
        labels,
        value: value.ok_or("the value is no number")?,
    })
}

/// What stands before the closing quote, and the rest behind it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                _ => return Err("an unknown escape".into()),
            },
            c => value.push(c),
        }
    }
    Err("a quote does not end".into())
}
