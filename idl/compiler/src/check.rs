//! What the grammar cannot say: names, types in their places, sizes; and, across files, numbers.
//! Collects every problem.

use crate::ast::{Function, Interface, Item, Name, Struct, Type};
use crate::layout::{MAX_RECORD_BYTES, MAX_WORDS, Record, words};
use crate::parser::TYPES;
use crate::source::Problem;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// Longest interface name: it travels in a field of the start information (`abi::start::Name`).
pub const MAX_INTERFACE_NAME: usize = 24;

/// Strict, reserved and weak keywords that cannot be a name in generated Rust.
const KEYWORDS: &[&str] = &[
    "Self", "abstract", "as", "async", "await", "become", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if",
    "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];
/// Modules and crates beside which an interface's module stands.
const TAKEN_INTERFACES: &[&str] = &["abi", "core", "interfaces", "libcbuf", "rt", "wire"];
/// Functions that every generated client has.
const TAKEN_FUNCTIONS: &[&str] = &["bind", "peer"];
/// Variables of the generated code.
const TAKEN_ITEMS: &[&str] = &[
    "call", "caller", "client", "failure", "record", "reply", "sender", "server",
];
/// Types that generated code names.
const TAKEN_STRUCTS: &[&str] = &[
    "Batch",
    "CPtr",
    "Cbuf",
    "Client",
    "ComponentId",
    "Err",
    "Error",
    "From",
    "Incoming",
    "None",
    "Ok",
    "Option",
    "Record",
    "Result",
    "Server",
    "Some",
];

/// Problems of one file.
pub fn check(interface: &Interface) -> Vec<Problem> {
    let items = interface.functions.iter();
    let items = items.flat_map(|f| f.arguments.iter().chain(&f.results));
    let elements = items.filter_map(|item| match &item.ty {
        Type::Batch(element) => Some(element.text.as_str()),
        _ => None,
    });
    let structs = interface.structs.iter().map(|s| s.name.text.as_str());
    let mut check = Check {
        interface,
        structs: structs.collect(),
        in_batches: elements.collect(),
        problems: Vec::new(),
    };
    check.interface();
    check.problems
}

/// A file's interface, for the checks across files.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    pub file: &'a str,
    pub interface: &'a Interface,
}

/// Problems between files, each with the index of the file to report it in: a name or a number
/// that an earlier file has.
pub fn check_together(members: &[Member]) -> Vec<(usize, Problem)> {
    let mut names: HashMap<&str, &Member> = HashMap::new();
    let mut numbers: HashMap<u16, &Member> = HashMap::new();
    let mut problems = Vec::new();
    for (index, member) in members.iter().enumerate() {
        let Interface { name, number, .. } = member.interface;
        if let Some(first) = names.get(name.text.as_str()) {
            let text = format!(
                "interface `{}` is declared in {} too",
                name.text, first.file
            );
            problems.push((index, Problem::new(&name.at, text)));
            continue;
        }
        names.insert(&name.text, member);
        match numbers.get(&number.value) {
            None => {
                numbers.insert(number.value, member);
            }
            Some(first) => {
                let text = format!(
                    "interface `{}` in {} has number {} already; the lowest free number is {}",
                    first.interface.name.text,
                    first.file,
                    number.value,
                    lowest_free(members)
                );
                problems.push((index, Problem::new(&number.at, text)));
            }
        }
    }
    problems
}

/// The lowest number that no member has.
pub fn lowest_free(members: &[Member]) -> u32 {
    let taken = |n| {
        members
            .iter()
            .any(|m| u32::from(m.interface.number.value) == n)
    };
    (1..).find(|n| !taken(*n)).unwrap_or(u32::MAX)
}

/// How a kind of name is written.
enum Case {
    Snake,
    Camel,
}

struct Check<'a> {
    interface: &'a Interface,
    /// Declared.
    structs: HashSet<&'a str>,
    /// What batches of arguments and results are said to hold.
    in_batches: HashSet<&'a str>,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(&mut self, at: &Range<usize>, text: String) {
        self.problems.push(Problem::new(at, text));
    }

    fn interface(&mut self) {
        let interface = self.interface;
        let name = &interface.name;
        self.name(name, "interface", Case::Snake, TAKEN_INTERFACES);
        if name.text.len() > MAX_INTERFACE_NAME {
            let text = format!(
                "an interface's name has at most {MAX_INTERFACE_NAME} characters, this has {}",
                name.text.len()
            );
            self.problem(&name.at, text);
        }
        if interface.functions.is_empty() {
            let text = format!(
                "interface `{}` has no functions; expected at least one `fn`",
                name.text
            );
            self.problem(&name.at, text);
        }
        self.unique("struct", interface.structs.iter().map(|s| &s.name));
        self.unique("function", interface.functions.iter().map(|f| &f.name));
        for structure in &interface.structs {
            self.structure(structure);
        }
        for function in &interface.functions {
            self.function(function);
        }
    }

    fn name(&mut self, name: &Name, what: &str, case: Case, taken: &[&str]) {
        let text = &name.text;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let (ok, how) = match case {
            Case::Snake => (
                text.starts_with(|c: char| c.is_ascii_lowercase())
                    && text
                        .split('_')
                        .all(|part| !part.is_empty() && part.chars().all(plain)),
                "lower case words joined by `_`",
            ),
            Case::Camel => (
                text.starts_with(|c: char| c.is_ascii_uppercase()) && !text.contains('_'),
                "words that begin with a capital, without `_`",
            ),
        };
        if KEYWORDS.contains(&text.as_str()) {
            self.problem(
                &name.at,
                format!("`{text}` is a Rust keyword; choose another {what} name"),
            );
        } else if !ok {
            self.problem(
                &name.at,
                format!("the {what} name `{text}` should be {how}"),
            );
        } else if taken.contains(&text.as_str()) {
            let text =
                format!("`{text}` is a name that generated code uses; choose another {what} name");
            self.problem(&name.at, text);
        }
    }

    fn unique<'n>(&mut self, what: &str, names: impl Iterator<Item = &'n Name>) {
        let mut seen = HashSet::new();
        for name in names {
            if !seen.insert(&name.text) {
                self.problem(
                    &name.at,
                    format!("the {what} name `{}` is taken already", name.text),
                );
            }
        }
    }

    fn structure(&mut self, structure: &Struct) {
        let name = &structure.name;
        self.name(name, "struct", Case::Camel, TAKEN_STRUCTS);
        self.unique("field", structure.fields.iter().map(|f| &f.name));
        for field in &structure.fields {
            self.name(&field.name, "field", Case::Snake, TAKEN_ITEMS);
            match &field.ty {
                Type::Scalar(_) | Type::Cbuf => {}
                Type::Batch(_) => {
                    let text = "a batch cannot be in a struct; expected a scalar or `cbuf`".into();
                    self.problem(&field.ty_at, text);
                }
                Type::Named(ty) if self.is_struct(ty) => {
                    let text =
                        format!("struct `{ty}` cannot be in a struct; expected a scalar or `cbuf`");
                    self.problem(&field.ty_at, text);
                }
                Type::Named(ty) => self.unknown(ty, &field.ty_at),
            }
        }
        if structure.fields.is_empty() {
            let text = format!(
                "struct `{}` has no fields; expected at least one",
                name.text
            );
            self.problem(&name.at, text);
        }
        let bytes = Record::of(structure).bytes;
        if bytes > MAX_RECORD_BYTES {
            let text = format!(
                "struct `{}` takes {bytes} bytes, a record at most {MAX_RECORD_BYTES}; move data into a `cbuf`",
                name.text
            );
            self.problem(&name.at, text);
        }
        if !self.in_batches.contains(name.text.as_str()) {
            let text = format!(
                "struct `{}` is in no batch; only a batch carries a struct",
                name.text
            );
            self.problem(&name.at, text);
        }
    }

    fn function(&mut self, function: &Function) {
        self.name(&function.name, "function", Case::Snake, TAKEN_FUNCTIONS);
        for (items, what, verb) in [
            (&function.arguments, "argument", "takes"),
            (&function.results, "result", "answers"),
        ] {
            self.unique(what, items.iter().map(|item| &item.name));
            let mut total = 0;
            for item in items {
                self.name(&item.name, what, Case::Snake, TAKEN_ITEMS);
                self.item_type(item);
                let before = total;
                total += words(&item.ty);
                if before <= MAX_WORDS && total > MAX_WORDS {
                    let all: usize = items.iter().map(|item| words(&item.ty)).sum();
                    let text = format!(
                        "`{}` {verb} {all} words, at most {MAX_WORDS} fit in registers (a `cbuf` takes 2, all else 1); put them into a struct and pass a batch",
                        function.name.text
                    );
                    self.problem(&item.name.at, text);
                }
            }
        }
    }

    fn item_type(&mut self, item: &Item) {
        match &item.ty {
            Type::Scalar(_) | Type::Cbuf => {}
            Type::Batch(element) if self.is_struct(&element.text) => {}
            Type::Batch(element) => {
                let kind = match element.text.as_str() {
                    text if text == "cbuf" || crate::ast::Scalar::named(text).is_some() => {
                        "is not a struct"
                    }
                    _ => "is not declared in this file",
                };
                let text = format!(
                    "a batch holds structs and `{}` {kind}; expected {}",
                    element.text,
                    self.declared_structs()
                );
                self.problem(&element.at, text);
            }
            Type::Named(ty) if self.is_struct(ty) => {
                let text = format!("a struct travels only in a batch; expected `batch<{ty}>`");
                self.problem(&item.ty_at, text);
            }
            Type::Named(ty) => self.unknown(ty, &item.ty_at),
        }
    }

    fn unknown(&mut self, ty: &str, at: &Range<usize>) {
        self.problem(at, format!("unknown type `{ty}`; expected {TYPES}"));
    }

    fn is_struct(&self, name: &str) -> bool {
        self.structs.contains(name)
    }

    fn declared_structs(&self) -> String {
        let names: Vec<_> = self
            .interface
            .structs
            .iter()
            .take(8)
            .map(|s| format!("`{}`", s.name.text))
            .collect();
        match names.is_empty() {
            true => "a `struct` declared in this file (there is none)".into(),
            false => format!("a struct of this file, such as {}", names.join(", ")),
        }
    }
}
