//! An interface as the file says it, with the place of every name.

use std::ops::Range;

/// A name and where it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    pub text: String,
    pub at: Range<usize>,
}

/// The number after `interface NAME =`: 1 to 65535.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Number {
    pub value: u16,
    pub at: Range<usize>,
}

/// Lines of documentation, without the slashes.
pub type Docs = Vec<String>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    pub docs: Docs,
    pub name: Name,
    pub number: Number,
    pub structs: Vec<Struct>,
    /// In the order of the file: the position is the method number.
    pub functions: Vec<Function>,
}

/// What a batch holds an array of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Struct {
    pub docs: Docs,
    pub name: Name,
    pub fields: Vec<Item>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Function {
    pub docs: Docs,
    pub name: Name,
    pub arguments: Vec<Item>,
    pub results: Vec<Item>,
}

/// A field, an argument or a result: `name: type`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Fields only.
    pub docs: Docs,
    pub name: Name,
    pub ty: Type,
    pub ty_at: Range<usize>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Type {
    Scalar(Scalar),
    Cbuf,
    /// `batch<NAME>`
    Batch(Name),
    /// Any other name: only `check` can say what is wrong with it.
    Named(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scalar {
    U8,
    U16,
    U32,
    U64,
    I64,
    Bool,
}

impl Scalar {
    pub const ALL: [(&'static str, Scalar); 6] = [
        ("u8", Scalar::U8),
        ("u16", Scalar::U16),
        ("u32", Scalar::U32),
        ("u64", Scalar::U64),
        ("i64", Scalar::I64),
        ("bool", Scalar::Bool),
    ];

    pub fn named(text: &str) -> Option<Scalar> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, scalar)| *scalar)
    }

    /// The name in the file, which is Rust's too.
    pub fn name(self) -> &'static str {
        match self {
            Scalar::U8 => "u8",
            Scalar::U16 => "u16",
            Scalar::U32 => "u32",
            Scalar::U64 => "u64",
            Scalar::I64 => "i64",
            Scalar::Bool => "bool",
        }
    }
}
