//! What the console shows of faults: each backtrace names the functions that led to it.

/// What an image's console must show of a component: the lines after the one that says what it
/// did, by how they begin. `*` stands for any lines, or none.
type Expected = (&'static str, &'static [&'static str]);

const FAULT: &str = "[init] component ";

const HOSTILE: &[Expected] = &[
    (
        "read-null",
        &["  0: hostile::act+0x", "*", "  invoked by tester"],
    ),
    (
        "jump",
        &[
            "  0: 0xdead0000",
            "  1: hostile::act+0x",
            "*",
            "  invoked by tester",
        ],
    ),
    (
        "overflow",
        &[
            "  0: hostile::attack::overflow+0x",
            "  1: hostile::attack::overflow+0x",
            "*",
            "  ... ",
            "*",
            "  21: hostile::act+0x",
            "*",
            "  invoked by tester",
        ],
    ),
    (
        "lose-stack",
        &["  0: hostile::act+0x", "*", "  invoked by tester"],
    ),
    // The machinery of a panic is left out.
    (
        "panic",
        &["  0: hostile::act+0x", "*", "  invoked by tester"],
    ),
];

const HOSTILE_CALLS: &[Expected] = &[
    // In a thread of its own, which nobody invoked.
    ("thread", &["  0: ", "  1: _start+0x"]),
    (
        "frames",
        &[
            "  0: hostile::",
            "  1: hostile::attack::corrupt_frames+0x1",
            "  2: hostile::attack::corrupt_frames+0x1",
            "  invoked by tester",
        ],
    ),
];

/// Checks the console of an image that has something to show.
pub fn check(image: &str, lines: &[String]) -> Result<(), String> {
    match image {
        "hostile" => shows(lines, HOSTILE),
        "hostile-calls" => {
            shows(lines, HOSTILE_CALLS)?;
            // It lives, so nothing of what it told may be seen.
            match of(lines, "forger") {
                Some(_) => Err("a trace without a fault was printed".into()),
                None => Ok(()),
            }
        }
        "capabilities" => filled(lines),
        _ => Ok(()),
    }
}

/// The lines with which an image filled the console: each once, in order, and whole.
fn filled(lines: &[String]) -> Result<(), String> {
    /// Bytes that the kernel keeps, and those of a line without its end.
    const KEPT: usize = 8192;
    const LINE: usize = 191;
    let of_them = lines.iter().filter(|line| line.contains("console line "));
    let mut count = 0;
    for line in of_them {
        let whole = format!("{:=<1$}", format!("console line {count} "), LINE);
        if *line != whole {
            return Err(format!("console line {count} is {line}"));
        }
        count += 1;
    }
    if count * LINE <= KEPT {
        return Err(format!("{count} lines do not fill the console"));
    }
    Ok(())
}

fn shows(lines: &[String], expected: &[Expected]) -> Result<(), String> {
    for (component, pattern) in expected {
        let trace = of(lines, component).ok_or(format!("no fault of {component} was printed"))?;
        if !matches(&trace, pattern) {
            let shown = trace.join("\n    ");
            return Err(format!("the backtrace of {component} is\n    {shown}"));
        }
    }
    Ok(())
}

/// The lines of a component's first backtrace, without who printed them.
pub fn of<'a>(lines: &'a [String], component: &str) -> Option<Vec<&'a str>> {
    let named = |line: &String| {
        let rest = line
            .strip_prefix(FAULT)
            .and_then(|l| l.strip_prefix(component));
        rest.is_some_and(|rest| rest.starts_with(", thread "))
    };
    let at = lines.iter().position(named)?;
    let trace = lines[at + 1..]
        .iter()
        .map_while(|l| l.strip_prefix("[init]"));
    Some(
        trace
            .map_while(|l| l.strip_prefix(' '))
            .take_while(|l| l.starts_with("  "))
            .collect(),
    )
}

/// Whether the lines begin as the pattern says.
pub fn matches(lines: &[&str], pattern: &[&str]) -> bool {
    match (lines, pattern) {
        ([], []) => true,
        (_, ["*", rest @ ..]) => {
            matches(lines, rest)
                || lines
                    .split_first()
                    .is_some_and(|(_, l)| matches(l, pattern))
        }
        ([line, lines @ ..], [start, rest @ ..]) => line.starts_with(start) && matches(lines, rest),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_are_found_and_compared() {
        let lines = [
            "[init] component ab, thread 1: fault, address 0x0; it is killed",
            "[init]   0: f+0x1",
            "[init] component a, thread 1: fault, address 0x0; it is killed",
            "[init]   0: x::f+0x1",
            "[init]   1: g+0x20",
            "[init]   invoked by c",
            "[init] component a is started anew",
        ]
        .map(String::from);
        let trace = of(&lines, "a").unwrap();
        assert_eq!(trace, ["  0: x::f+0x1", "  1: g+0x20", "  invoked by c"]);
        assert!(matches(&trace, &["  0: x::f+", "*", "  invoked by c"]));
        assert!(matches(&trace, &["*"]));
        assert!(!matches(&trace, &["  0: x::f+", "  invoked by c"]));
        assert!(!matches(&trace, &["  0: x::f+", "*", "  2"]));
        assert!(!matches(&trace, &["  0: x::f+"]));
        assert_eq!(of(&lines, "c"), None);
        assert_eq!(of(&lines, "ab").unwrap(), ["  0: f+0x1"]);
    }

    #[test]
    fn lines_that_filled_the_console_come_once_and_whole() {
        let line = |n: u32| format!("{:=<191}", format!("console line {n} "));
        let mut lines: Vec<String> = (0..50).map(line).collect();
        lines.insert(7, "[other] says something".into());
        assert_eq!(filled(&lines), Ok(()));
        assert!(filled(&lines[..20]).is_err());
        assert!(filled(&[&lines[..], &lines[50..]].concat()).is_err());
        lines[9].pop();
        assert!(filled(&lines).is_err());
    }
}
