//! Wire rules: how many registers a value takes, and where a struct's fields lie in a record.

use crate::ast::{Item, Scalar, Struct, Type};

/// Words (registers) that carry arguments, and as many that carry results.
pub const MAX_WORDS: usize = 4;
/// Largest record, as `libcbuf::batch::MAX_WIRE`: what a receiver copies before it looks.
pub const MAX_RECORD_BYTES: usize = 256;

/// Words one argument or result takes.
pub fn words(ty: &Type) -> usize {
    match ty {
        Type::Cbuf => 2,
        Type::Scalar(_) | Type::Batch(_) | Type::Named(_) => 1,
    }
}

/// Index of the first word of each item.
pub fn word_indices(items: &[Item]) -> Vec<usize> {
    let mut next = 0;
    items
        .iter()
        .map(|item| {
            let first = next;
            next += words(&item.ty);
            first
        })
        .collect()
}

/// Size and alignment of a field, in bytes.
fn size_and_align(ty: &Type) -> (usize, usize) {
    match ty {
        Type::Scalar(Scalar::U8 | Scalar::Bool) => (1, 1),
        Type::Scalar(Scalar::U16) => (2, 2),
        Type::Scalar(Scalar::U32) => (4, 4),
        Type::Scalar(Scalar::U64 | Scalar::I64) => (8, 8),
        Type::Cbuf => (12, 4),
        Type::Batch(_) | Type::Named(_) => (0, 1),
    }
}

/// A record: a struct's fields in order, each aligned to its size, padded to the largest
/// alignment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    pub bytes: usize,
    /// Offset of each field.
    pub offsets: Vec<usize>,
}

impl Record {
    pub fn of(structure: &Struct) -> Self {
        let mut record = Self {
            bytes: 0,
            offsets: Vec::new(),
        };
        let mut largest = 1;
        for field in &structure.fields {
            let (size, align) = size_and_align(&field.ty);
            let offset = record.bytes.next_multiple_of(align);
            record.offsets.push(offset);
            record.bytes = offset + size;
            largest = largest.max(align);
        }
        record.bytes = record.bytes.next_multiple_of(largest);
        record
    }
}
