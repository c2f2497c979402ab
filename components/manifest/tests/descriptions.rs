//! Each file in `tests/inputs/ok` passes with exactly the warnings that its `#!` lines hold; each
//! in `tests/inputs/err` fails with exactly the errors of its `#!` lines.

use manifest::{Checked, DecodeError, Image, Known, check, source};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// The text without its leading `#! ` lines, and those lines.
fn split(text: &str) -> (String, String) {
    let (mut expected, mut body) = (Vec::new(), String::new());
    for line in text.lines() {
        match line.strip_prefix("#!") {
            Some(rest) => expected.push(rest.strip_prefix(' ').unwrap_or(rest)),
            None => body = body + line + "\n",
        }
    }
    (expected.join("\n"), body)
}

fn run(body: &str) -> Result<Checked, String> {
    let names = [
        "sched",
        "sched_control",
        "cbuf",
        "cbuf_policy",
        "nic",
        "net",
        "supervisor",
        "supervisor_control",
        "echo",
    ];
    let more = (1..=25).map(|i| format!("i{i}"));
    let interfaces: Vec<(String, u16)> = names
        .map(String::from)
        .into_iter()
        .chain(more)
        .zip(1..)
        .collect();
    let binaries = ["sched", "cbuf-mgr", "echo"].map(String::from);
    let known = Known {
        binaries: &binaries,
        interfaces: &interfaces,
    };
    let lines = |problems: Vec<manifest::Problem>| {
        problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    check(&source::parse(body)?, &known).map_err(lines)
}

fn inputs(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/inputs")
        .join(folder);
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|f| f.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

/// Compares all files before failing, so that one run shows everything that differs.
fn compare(folder: &str, outcome: impl Fn(Result<Checked, String>) -> Result<String, String>) {
    let files = inputs(folder);
    assert!(files.len() >= 10, "only {} inputs in {folder}", files.len());
    let mut wrong = String::new();
    for file in files {
        let (expected, body) = split(&std::fs::read_to_string(&file).unwrap());
        let got = outcome(run(&body));
        if got.as_ref().map(|s| s.trim_end()) != Ok(expected.trim_end()) {
            wrong += &format!(
                "{}\nexpected: {expected}\ngot:      {got:?}\n\n",
                file.display()
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn sound_descriptions_pass_and_survive_encoding() {
    compare("ok", |result| {
        let checked = result?;
        assert_eq!(Image::decode(&checked.image.encode()), Ok(checked.image));
        let warnings = checked.warnings.iter().map(ToString::to_string);
        Ok(warnings
            .filter(|w| !w.contains("does nothing"))
            .collect::<Vec<_>>()
            .join("\n"))
    });
}

#[test]
fn each_mistake_gets_its_sentence() {
    compare("err", |result| match result {
        Ok(_) => Err("it passed".into()),
        Err(text) => Ok(text),
    });
}

fn image(body: &str) -> Image {
    run(&format!(
        "[image]\nname = \"t\"\nmemory_min = \"64MiB\"\n{body}"
    ))
    .unwrap()
    .image
}

const CHAIN: &str = r#"
[[component]]
name = "top"
binary = "echo"
invokes = ["net"]
thread = [{ priority = 1 }, { priority = 2 }]
[[component]]
name = "mid"
binary = "echo"
provides = ["net"]
invokes = ["sched"]
thread = [{ priority = 9 }]
[[component]]
name = "sched"
provides = ["sched", "sched_control"]
rights = ["kernel", "threads"]
thread = [{ priority = 0 }]
"#;

#[test]
fn names_become_numbers() {
    let image = image(CHAIN);
    let id = |n| abi::ComponentId(n);
    assert_eq!(image.component(id(0)), None);
    assert_eq!(image.component(id(1)).unwrap().imports[0].provider, 2);
    assert_eq!(image.component(id(4)), None);
    assert_eq!(image.start_order, [3, 2, 1]);
    assert_eq!(image.init_imports[0].interface, "sched_control");
    assert_eq!(image.init_imports[0].provider, 3);
    let threads: Vec<u16> = image
        .components
        .iter()
        .flat_map(|c| &c.threads)
        .map(|t| t.id)
        .collect();
    assert_eq!(threads, [1, 2, 3, 4]);
}

#[test]
fn who_meets_whom() {
    let image = image(CHAIN);
    let id = |n| abi::ComponentId(n);
    assert_eq!(image.peers(id(1)), 1 << 2);
    assert_eq!(image.peers(id(2)), 1 << 1 | 1 << 3);
    assert_eq!(image.peers(id(3)), 1 << 0 | 1 << 2);
    assert_eq!(image.threads_in(id(1)), 0b00111);
    assert_eq!(image.threads_in(id(2)), 0b01111);
    assert_eq!(image.threads_in(id(3)), 0b11111);
    assert_eq!(image.pages_at_start(), (3 + 4 + 5) * 4);
}

#[test]
fn who_is_started_anew() {
    let image = image(
        r#"
[[component]]
name = "sched"
provides = ["sched"]
[[component]]
name = "passive"
binary = "echo"
[[component]]
name = "left-dead"
binary = "echo"
restart = false
[[component]]
name = "active"
binary = "echo"
thread = [{ priority = 1 }]
[[component]]
name = "brought-back"
binary = "echo"
restart = true
thread = [{ priority = 1 }]
[[component]]
name = "driver"
binary = "echo"
invokes = ["sched"]
device = { pci = "1af4:1041" }
[[component]]
name = "needed"
binary = "echo"
supervised = false
[[component]]
name = "maker"
binary = "echo"
rights = ["cspace", "kernel"]
[[component]]
name = "threads"
binary = "echo"
provides = ["sched_control"]
rights = ["threads"]
"#,
    );
    let restarted = image.components.iter().filter(|c| c.restart);
    let names: Vec<&str> = restarted.map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["passive", "brought-back"]);
}

#[test]
fn an_idle_component_is_mentioned() {
    let checked =
        run("[image]\nname = \"t\"\nmemory_min = \"1MiB\"\n[[component]]\nname = \"echo\"\n");
    let warning = checked.unwrap().warnings[0].to_string();
    assert_eq!(
        warning,
        "component `echo` does nothing: it has no thread and nothing invokes it"
    );
}

#[test]
fn truncated_or_longer_binary_forms_are_refused() {
    let bytes = image(CHAIN).encode();
    for length in 0..bytes.len() {
        assert!(Image::decode(&bytes[..length]).is_err(), "cut to {length}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Image::decode(&longer), Err(DecodeError::Malformed));
}

#[test]
fn numbers_out_of_range_are_refused() {
    let refused = |change: fn(&mut Image)| {
        let mut image = image(CHAIN);
        change(&mut image);
        assert_eq!(Image::decode(&image.encode()), Err(DecodeError::OutOfRange));
    };
    refused(|i| i.components[0].imports[0].provider = 9);
    refused(|i| i.components[2].imports = i.components[0].imports.clone());
    refused(|i| i.components[2].restart = true);
    refused(|i| i.start_order = vec![1, 2, 3]);
    refused(|i| i.start_order = vec![3, 2, 2]);
    refused(|i| i.start_order = vec![3, 2]);
    refused(|i| i.components[0].threads[1].id = 7);
    refused(|i| i.components[0].heap_bytes = 5);
    refused(|i| i.components[0].heap_max_bytes = 4096);
    refused(|i| i.components[0].heap_bytes = 4096);
    refused(|i| {
        i.components[0].heap_bytes = 8192;
        i.components[0].heap_max_bytes = 4096;
    });
    refused(|i| i.components[0].heap_kept_bytes = 4096);
    refused(|i| {
        i.components[0].heap_bytes = 4096;
        i.components[0].heap_max_bytes = 8192;
        i.components[0].heap_kept_bytes = 12288;
    });
    refused(|i| i.components[0].stack_bytes = 0);
    refused(|i| i.components[0].name = "n".repeat(99));
    refused(|i| i.init_imports[0].provider = 64);
}

proptest! {
    /// Whatever is accepted can be asked everything.
    #[test]
    fn damaged_binary_forms_do_not_panic(changes in prop::collection::vec((0usize..400, any::<u8>()), 1..8)) {
        let mut bytes = image(CHAIN).encode();
        for (at, value) in changes {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        if let Ok(image) = Image::decode(&bytes) {
            for (id, _) in image.ids() {
                let _ = (image.peers(id), image.threads_in(id));
            }
            let _ = image.pages_at_start();
        }
    }
}
