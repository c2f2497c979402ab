//! No input makes the compiler panic or run away: random bytes, random tokens, and the real
//! interface files damaged at random. What it accepts yields Rust that parses (`generate` says
//! so), and each problem names a line and a column.

use idl::{Source, generate, interface};
use proptest::collection::vec;
use proptest::prelude::*;

fn compile(bytes: &[u8]) {
    let result = Source::new("x.idl", bytes)
        .and_then(|source| interface(&source))
        .map(|interface| generate(&interface, "x.idl").expect("accepted, so it compiles"));
    if let Err(report) = result {
        let text = report.to_string();
        let mut place = text.split(':').skip(1);
        for number in ["line", "column"] {
            let found = place.next().and_then(|n| n.parse::<usize>().ok());
            assert!(found.is_some_and(|n| n > 0), "no {number} in {text}");
        }
    }
}

const REAL: [&str; 3] = [
    include_str!("../../interfaces/net.idl"),
    include_str!("../../interfaces/content.idl"),
    include_str!("inputs/ok/batches.idl"),
];

const TOKENS: [&str; 30] = [
    "interface ",
    "struct ",
    "fn ",
    "batch",
    "cbuf",
    "u32",
    "bool",
    "i64",
    "a",
    "b ",
    "Name ",
    "S",
    "{",
    "}",
    "(",
    ")",
    "<",
    ">",
    ":",
    ";",
    ",",
    "=",
    "->",
    " 1 ",
    " 0 ",
    "/// doc\n",
    "// c\n",
    "/*",
    "*/",
    "\n",
];

proptest! {
    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..400)) {
        compile(&bytes);
    }

    #[test]
    fn random_text(text in "\\PC{0,200}") {
        compile(text.as_bytes());
    }

    #[test]
    fn random_tokens(picks in vec(0..TOKENS.len(), 0..60)) {
        let text: String = picks.iter().map(|pick| TOKENS[*pick]).collect();
        compile(text.as_bytes());
        compile(format!("interface a = 1 {{ {text} }}").as_bytes());
    }

    #[test]
    fn damaged_files(
        which in 0..REAL.len(),
        damage in vec((any::<prop::sample::Index>(), 0..4u8, any::<u8>(), 0..TOKENS.len()), 1..6),
    ) {
        let mut bytes = REAL[which].as_bytes().to_vec();
        for (place, kind, byte, token) in damage {
            let at = place.index(bytes.len() + 1);
            match kind {
                0 => bytes.truncate(at),
                1 if at < bytes.len() => bytes[at] = byte,
                2 if at < bytes.len() => drop(bytes.drain(at..bytes.len().min(at + usize::from(byte) % 9))),
                _ => drop(bytes.splice(at..at, TOKENS[token].bytes())),
            }
        }
        compile(&bytes);
    }
}

#[test]
fn absurd_inputs() {
    let long = idl::source::MAX_BYTES;
    let report = Source::new("x.idl", &vec![b'a'; long + 1])
        .unwrap_err()
        .to_string();
    assert!(
        report.starts_with("x.idl:1:1: the file has more than 65536 bytes"),
        "{report}"
    );
    assert!(report.len() < 400, "{report}");

    for piece in [
        "a",
        "(",
        "<",
        "batch<",
        "/*",
        "/// x\n",
        "{",
        "interface a = 1 {",
        "\n",
        "ä",
    ] {
        compile(piece.repeat(long / piece.len()).as_bytes());
    }
    let many = |item: &str| {
        format!(
            "interface a = 1 {{ {} }}",
            item.repeat(long / item.len() - 9)
        )
    };
    compile(many("fn f(x: what);").as_bytes());
    compile(many("struct S { v: u8 }").as_bytes());
    compile(format!("interface a = 1 {{ fn f({}); }}", "x: u8,".repeat(10_000)).as_bytes());
    compile(
        format!(
            "interface a = 1 {{ struct S {{ {} }} }}",
            "x: u8,".repeat(10_000)
        )
        .as_bytes(),
    );
}
