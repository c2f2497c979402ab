//! Names of functions: what was written is read, and damage never panics.

use archive::symbols::{Source, Symbols, encode};
use proptest::prelude::*;

fn program(name: &str, functions: &[(u32, &str)], end: u32) -> Source {
    Source {
        name: name.into(),
        functions: functions.iter().map(|(at, n)| (*at, (*n).into())).collect(),
        end,
    }
}

fn sample() -> Vec<Source> {
    vec![
        program(
            "echo",
            &[
                (0x40_0040, "echo::serve"),
                (0x40_0000, "_start"),
                (0x40_1000, "core::fmt::write"),
                (0x40_1000, "core::fmt::alias"),
            ],
            0x40_1234,
        ),
        program("none", &[], 0x40_0000),
        program(
            "init",
            &[
                (0x40_0000, "_start"),
                (0x40_0001, "init::Réseau::{closure}"),
            ],
            0x41_0000,
        ),
    ]
}

/// What a person sees of an address.
fn shown(blob: &[u8], program: &str, address: u64) -> Option<String> {
    let (name, offset) = Symbols::open(blob).ok()?.program(program)?.at(address)?;
    Some(format!("{name}+{offset:#x}"))
}

#[test]
fn addresses_are_named() {
    let blob = encode(&sample());
    for (program, address, name) in [
        ("echo", 0x40_0000, Some("_start+0x0")),
        ("echo", 0x40_003f, Some("_start+0x3f")),
        ("echo", 0x40_0040, Some("echo::serve+0x0")),
        ("echo", 0x40_1000, Some("core::fmt::write+0x0")),
        ("echo", 0x40_1233, Some("core::fmt::write+0x233")),
        ("echo", 0x40_1234, None),
        ("echo", u64::MAX, None),
        ("echo", 0x3f_ffff, None),
        ("echo", 0, None),
        ("none", 0x40_0000, None),
        ("init", 0x40_0002, Some("init::Réseau::{closure}+0x1")),
        ("other", 0x40_0000, None),
    ] {
        let name = name.map(String::from);
        assert_eq!(
            shown(&blob, program, address),
            name,
            "{program} {address:#x}"
        );
    }
}

#[test]
fn what_is_too_long_is_cut() {
    let long = "é".repeat(200);
    let blob = encode(&[program("p", &[(1, &long)], 9)]);
    let name = format!("{}+0x0", "é".repeat(127));
    assert_eq!(shown(&blob, "p", 1), Some(name));
    let deep = vec!["a"; 300].join("::");
    let blob = encode(&[program("p", &[(1, &deep), (2, "b")], 9)]);
    assert_eq!(shown(&blob, "p", 2), Some("b+0x0".into()));
}

/// Reads all there is; how many names that gave.
fn read_all(blob: &[u8]) -> usize {
    let Ok(symbols) = Symbols::open(blob) else {
        return 0;
    };
    let found = ["echo", "none", "init"].map(|name| {
        let program = symbols.program(name)?;
        let names = (0x40_0000..0x40_1300).step_by(16);
        let named = names.filter_map(|at| Some(program.at(at)?.0.to_string()));
        Some(named.filter(|name| !name.is_empty()).count())
    });
    found.into_iter().flatten().sum()
}

#[test]
fn every_truncation_is_read_without_panic() {
    let blob = encode(&sample());
    let whole = read_all(&blob);
    for length in 0..blob.len() {
        assert!(read_all(&blob[..length]) < whole, "cut to {length} bytes");
    }
}

proptest! {
    #[test]
    fn noise_is_read_without_panic(blob in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&blob);
    }

    #[test]
    fn damage_is_read_without_panic(at in 0usize..1000, value in any::<u8>()) {
        let mut blob = encode(&sample());
        let at = at % blob.len();
        blob[at] = value;
        read_all(&blob);
    }

    #[test]
    fn any_program_is_read_as_it_was_written(
        starts in proptest::collection::btree_set(1u32..1 << 28, 1..60),
        words in proptest::collection::vec("[a-z_]{1,9}", 1..12),
        probes in proptest::collection::vec(0u64..1 << 29, 40),
    ) {
        let name = |n: usize| {
            let parts: Vec<_> = (0..=n % 4).map(|i| words[(n + i * 5) % words.len()].as_str()).collect();
            parts.join("::")
        };
        let functions: Vec<(u32, String)> =
            starts.iter().enumerate().map(|(n, at)| (*at, name(n))).collect();
        let end = functions.last().map_or(0, |(at, _)| at + 100);
        let source = Source { name: "p".into(), functions: functions.clone(), end };
        let blob = encode(&[source]);
        let edges = functions.iter().flat_map(|(at, _)| [u64::from(*at) - 1, u64::from(*at)]);
        for address in probes.into_iter().chain(edges) {
            let model = functions.iter().rev().find(|(at, _)| u64::from(*at) <= address);
            let model = model.filter(|_| address < u64::from(end));
            let model = model.map(|(at, name)| format!("{name}+{:#x}", address - u64::from(*at)));
            prop_assert_eq!(shown(&blob, "p", address), model);
        }
    }
}
