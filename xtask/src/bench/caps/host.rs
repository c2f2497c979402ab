//! The mapping database beside a doubly linked list in the same order and beside an AA tree, in
//! cycles of this machine: each operation, and the paper's score (the mean of the medians, weighted
//! by how often each operation occurs in tables 4.2 and 4.3).

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use crate::bench::report::{Goal, Row, median};
use crate::progress::Step;
use crate::project::Project;

const OURS: &str = "weak AVL tree";
const LIST: &str = "list";
const AA: &str = "AA tree";
/// log2 of the capabilities in the database.
const SIZES: [u32; 5] = [12, 13, 14, 15, 16];
/// Sizes whose operations have rows of their own.
const SHOWN: [u32; 2] = [12, 16];
const MOST_OF_THE_LISTS_SCORE: f64 = 0.30;

/// How often each operation occurs, and what it is called here.
struct Mix {
    name: &'static str,
    counts: [(&'static str, f64); 7],
}

const fn mix(name: &'static str, insertion: &'static str, n: [u32; 7]) -> Mix {
    Mix {
        name,
        counts: [
            (insertion, n[0] as f64),
            ("remove", n[1] as f64),
            ("next", n[2] as f64),
            ("has copies", n[3] as f64),
            ("has ancestors", n[4] as f64),
            ("has descendants", n[5] as f64),
            ("range query", n[6] as f64),
        ],
    }
}

const MIXES: [Mix; 3] = [
    mix("processes", "insert", PROCESSES),
    mix(
        "boot",
        "insert",
        [25524, 16094, 10040, 16493, 6434, 13992, 2469],
    ),
    // The list at its best, and how most capabilities are made: at the side of another.
    mix("processes, place known", "insert a copy", PROCESSES),
];
const PROCESSES: [u32; 7] = [19300, 18779, 7472, 19219, 12063, 17884, 2425];

/// Cycles by operation.
type Cycles = BTreeMap<String, f64>;
/// By design and log2 of the size: a round after another.
type Rounds = BTreeMap<(String, u32), Vec<Cycles>>;

impl Mix {
    /// Nothing where an operation was not measured.
    fn score(&self, cycles: &Cycles) -> Option<f64> {
        let total: f64 = self.counts.iter().map(|(_, count)| count).sum();
        self.counts.iter().try_fold(0.0, |sum, (name, count)| {
            Some(sum + cycles.get(*name)? * count / total)
        })
    }
}

pub fn run(project: &Project, rounds: usize) -> Result<Vec<Row>, String> {
    rows(&parse(&measure(project, rounds)?)?)
}

/// Builds the bench as the kernel is built, and runs it: a line for each round, size and design.
fn measure(project: &Project, rounds: usize) -> Result<String, String> {
    let step = Step::start("measuring the mapping database on this machine");
    let mut cargo = project.cargo();
    cargo.args(["bench", "--quiet", "--profile", "bare"]);
    cargo.args(["-p", "cistern-cap", "--bench", "mdb", "--"]);
    cargo.arg(rounds.max(1).to_string());
    cargo.args(SIZES.map(|size| size.to_string()));
    let output = cargo
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cargo did not start: {e}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the bench failed:\n{}", why.trim_end()));
    }
    step.done(&format!("{rounds} rounds"));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(text: &str) -> Result<Rounds, String> {
    let mut rounds = Rounds::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let broken = || format!("the bench printed what it should not: {line}");
        let value: Value = serde_json::from_str(line).map_err(|_| broken())?;
        let design = value["design"].as_str().ok_or_else(broken)?.to_string();
        let log2 = value["log2"].as_u64().ok_or_else(broken)? as u32;
        let cycles = value["cycles"].as_object().ok_or_else(broken)?;
        let cycles = cycles
            .iter()
            .filter_map(|(name, cycles)| Some((name.clone(), cycles.as_f64()?)))
            .collect();
        rounds.entry((design, log2)).or_default().push(cycles);
    }
    Ok(rounds)
}

/// A figure of ours and of another design: medians over all rounds, and of the ratios in each.
fn row(
    rounds: &Rounds,
    what: &str,
    log2: u32,
    peer: &str,
    figure: impl Fn(&Cycles) -> Option<f64>,
) -> Result<Row, String> {
    let all = |design: &str| -> Option<Vec<f64>> {
        let rounds = rounds.get(&(design.to_string(), log2))?;
        rounds.iter().map(&figure).collect()
    };
    let missing = || format!("the bench did not measure {what} at 2^{log2}");
    let ours = all(OURS).ok_or_else(missing)?;
    let theirs = all(peer).ok_or_else(missing)?;
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(a, b)| a / b).collect();
    let ratio = Some(median(&ratios)).filter(|ratio| ratio.is_finite());
    let name = format!("{what}, 2^{log2} ({peer})");
    Ok(Row::new(name, "cycles", median(&ours)).against(peer, median(&theirs), ratio))
}

fn rows(rounds: &Rounds) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for peer in [LIST, AA] {
        for mix in &MIXES {
            for log2 in SIZES {
                let what = format!("score, {}", mix.name);
                let row = row(rounds, &what, log2, peer, |cycles| mix.score(cycles))?;
                rows.push(if peer == LIST {
                    row.goal(Goal::RatioAtMost(MOST_OF_THE_LISTS_SCORE))
                } else {
                    row
                });
            }
        }
    }
    let operations: BTreeSet<&String> = rounds.values().flatten().flat_map(Cycles::keys).collect();
    for peer in [LIST, AA] {
        for log2 in SHOWN {
            for name in &operations {
                let figure = |cycles: &Cycles| cycles.get(*name).copied();
                rows.push(row(rounds, name, log2, peer, figure)?);
            }
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"round":0,"log2":12,"design":"list","cycles":{"insert":100.0,"remove":1.0,"next":1,"has copies":1,"has ancestors":1,"has descendants":1,"range query":1}}"#;

    #[test]
    fn the_score_weighs_medians_by_frequency() {
        let rounds = parse(&format!("running\n{LINE}\n")).unwrap();
        let cycles = &rounds[&("list".to_string(), 12)][0];
        // Insertion is 28.0 % of the boot phase, and 19.9 % of process management.
        let scores = MIXES.map(|mix| mix.score(cycles).unwrap_or(0.0));
        assert!((scores[0] - (1.0 + 99.0 * 0.199)).abs() < 0.1);
        assert!((scores[1] - (1.0 + 99.0 * 0.280)).abs() < 0.1);
        assert_eq!(scores[2], 0.0, "no copy was inserted");
        assert_eq!(MIXES[0].score(&Cycles::new()), None);
    }

    #[test]
    fn ratios_are_those_of_rounds() {
        let mut rounds = Rounds::new();
        for (ours, list) in [(1.0, 10.0), (30.0, 100.0), (2.0, 8.0)] {
            for (design, cycles) in [(OURS, ours), (LIST, list)] {
                let cycles = Cycles::from([("insert".to_string(), cycles)]);
                let key = (design.to_string(), 12);
                rounds.entry(key).or_default().push(cycles);
            }
        }
        let figure = |cycles: &Cycles| cycles.get("insert").copied();
        let row = row(&rounds, "insert", 12, LIST, figure).unwrap();
        assert_eq!((row.ours, row.ratio), (2.0, Some(0.25)));
        assert!(rows(&rounds).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse("{\"design\":1}").is_err());
        assert!(parse("{").is_err());
        assert!(parse("").unwrap().is_empty());
    }
}
