//! A model checker goes through all that three components can do to a buffer (send it to anyone,
//! also in chains and cycles, take sends back, receive, keep, free, in many threads) while a
//! collector reads their records word by word. One pass collects a buffer in use, in whatever
//! order it reads; two passes that agree never do, nor does one that reads all receipts first, and
//! then each record's references before its sends. The shortest way to go wrong is in
//! `docs/cbufs.md`, and is compared with what the checker finds.

#![cfg(not(loom))]

mod world;

use stateright::{Checker, Model};
use std::fmt::Write;
use world::{Act, Collector, Kind, Protocol, Word, World};

/// What the paper leaves open.
const ORDERS: [[Word; 3]; 6] = {
    use Word::{Received, References, Sent};
    [
        [Received, References, Sent],
        [Received, Sent, References],
        [Sent, Received, References],
        [Sent, References, Received],
        [References, Sent, Received],
        [References, Received, Sent],
    ]
};

const SAFE: &str = "what is collected is nobody's";

/// The shortest run after which a collector collects a buffer in use.
fn mistake(kind: Kind) -> Vec<(World, Option<Act>)> {
    let protocol = Protocol {
        kind,
        sends: 2,
        take_back: false,
    };
    let checker = protocol.checker().threads(1).spawn_bfs().join();
    let path = checker.discovery(SAFE);
    path.expect("it makes no mistake").into_vec()
}

/// All that there is to do, against each single read of a collector.
fn makes_none(kind: Kind) {
    let protocol = Protocol {
        kind,
        sends: 3,
        take_back: true,
    };
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    println!("{} states", checker.unique_state_count());
    assert!(checker.unique_state_count() > 100_000);
}

#[test]
fn two_passes_that_agree_never_collect_a_buffer_in_use() {
    makes_none(Kind::Ours);
}

#[test]
fn receipts_first_and_references_before_sends_never_does_either() {
    makes_none(Kind::Short);
}

#[test]
fn sends_before_references_does() {
    let run = mistake(Kind::Hasty);
    let (last, _) = run.last().unwrap();
    assert!(matches!(last.collector, Collector::Done(_)) && last.is_live());
}

#[test]
fn one_pass_does_in_whatever_order_it_reads() {
    for order in ORDERS {
        let run = mistake(Kind::OnePass(order));
        let (last, _) = run.last().unwrap();
        assert!(matches!(last.collector, Collector::Done(_)) && last.is_live());
    }
}

const NAMES: [&str; world::COMPONENTS] = ["A", "B", "C"];

/// A run as a table.
fn table(protocol: &Protocol, run: &[(World, Option<Act>)]) -> String {
    let mut out =
        String::from("| | components | collector | A | B | C |\n|---|---|---|---|---|---|\n");
    for (step, pair) in run.windows(2).enumerate() {
        let ([(before, Some(act)), (after, _)], n) = (pair, step + 1) else {
            break;
        };
        let (did, read) = match *act {
            Act::NoteReceiver { at, to } => (
                format!("{} notes the receiver {}", NAMES[at], NAMES[to]),
                String::new(),
            ),
            Act::CountSend { at, to } => (
                format!("{} sends to {}", NAMES[at], NAMES[to]),
                String::new(),
            ),
            Act::TakeReference { at, .. } => {
                (format!("{} takes a reference", NAMES[at]), String::new())
            }
            Act::CountReceipt { at } => {
                (format!("{} counts the receipt", NAMES[at]), String::new())
            }
            Act::Free { at } => (format!("{} frees", NAMES[at]), String::new()),
            Act::Read => {
                let (component, word, value) = protocol.next_read(before).unwrap();
                let word = format!("{word:?}").to_lowercase();
                (
                    String::new(),
                    format!("{} {word}: {value}", NAMES[component]),
                )
            }
        };
        let words = |n: usize| {
            let words = after.words[n];
            format!("{} {} {}", words.references(), words.sent, words.received)
        };
        let states = [words(0), words(1), words(2)].join(" | ");
        writeln!(out, "| {n} | {did} | {read} | {states} |").unwrap();
    }
    out
}

#[test]
fn the_documented_mistake_is_the_one_that_is_found() {
    let protocol = Protocol {
        kind: Kind::OnePass(ORDERS[0]),
        sends: 2,
        take_back: false,
    };
    let found = table(&protocol, &mistake(Kind::OnePass(ORDERS[0])));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cbufs.md");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(&found), "docs/cbufs.md is to say:\n{found}");
}
