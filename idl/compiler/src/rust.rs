//! Pieces of Rust that the client and the server side share.

use crate::ast::{Docs, Function, Item, Name, Scalar, Type};
use crate::layout::{MAX_WORDS, word_indices, words};
use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote};

/// A checked name as a Rust identifier.
pub fn ident(name: &Name) -> proc_macro2::Ident {
    format_ident!("{}", name.text)
}

/// Documentation lines as attributes, which print as `///`.
pub fn docs(docs: &Docs) -> TokenStream {
    quote!(#(#[doc = #docs])*)
}

/// Documentation of a function; several results lose their names in a tuple, so it lists them.
pub fn function_docs(function: &Function) -> TokenStream {
    let mut lines = function.docs.clone();
    if function.results.len() > 1 {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let names: Vec<_> = function
            .results
            .iter()
            .map(|r| r.name.text.as_str())
            .collect();
        lines.push(format!(" Answers `({})`.", names.join(", ")));
    }
    docs(&lines)
}

/// The constant that names a function's method number.
pub fn method(function: &Function) -> TokenStream {
    let name = format_ident!("{}", function.name.text.to_uppercase());
    quote!(method::#name)
}

/// A scalar's type in Rust.
pub fn scalar(scalar: Scalar) -> proc_macro2::Ident {
    format_ident!("{}", scalar.name())
}

/// The names of the `cbuf` items.
pub fn cbufs(items: &[Item]) -> impl Iterator<Item = proc_macro2::Ident> {
    let cbufs = items.iter().filter(|item| item.ty == Type::Cbuf);
    cbufs.map(|item| ident(&item.name))
}

/// A type as the side that sends it has it.
pub fn sent_type(ty: &Type) -> TokenStream {
    match ty {
        Type::Batch(element) => {
            let element = ident(element);
            quote!(Batch<'static, #element>)
        }
        ty => received_type(ty),
    }
}

/// A type as the side that receives it gets it.
pub fn received_type(ty: &Type) -> TokenStream {
    match ty {
        Type::Scalar(ty) => {
            let ty = scalar(*ty);
            quote!(#ty)
        }
        Type::Cbuf => quote!(Cbuf<'static>),
        Type::Batch(element) => {
            let element = ident(element);
            quote!(Incoming<'static, #element>)
        }
        Type::Named(_) => quote!(()),
    }
}

/// One type or a tuple of several, `()` of none.
pub fn tuple(mut parts: Vec<TokenStream>) -> TokenStream {
    match parts.len() {
        1 => parts.remove(0),
        _ => quote!((#(#parts),*)),
    }
}

/// The word that carries a scalar.
pub fn scalar_to_word(ty: Scalar, value: &TokenStream) -> TokenStream {
    match ty {
        Scalar::U64 => quote!(#value),
        Scalar::I64 => quote!(#value.cast_unsigned()),
        _ => quote!(u64::from(#value)),
    }
}

/// A scalar from its word: the expression, and whether it is a `Result` (a word that is no such
/// scalar is an error).
pub fn scalar_from_word(ty: Scalar, word: &TokenStream) -> (TokenStream, bool) {
    match ty {
        Scalar::U64 => (quote!(#word), false),
        Scalar::I64 => (quote!(#word.cast_signed()), false),
        _ => {
            let name = scalar(ty);
            (quote!(wire::#name(#word)), true)
        }
    }
}

/// A value received, for the middle of an expression and for its end.
pub struct Received {
    /// The statement that receives a buffer; empty for a scalar.
    pub statement: TokenStream,
    /// The plain value.
    pub value: TokenStream,
    /// A `Result` of it, where no statement comes before.
    pub result: TokenStream,
}

/// What unpacks `item`, whose first word is number `first` of `words`, from component `from`.
pub fn from_word(item: &Item, words: &TokenStream, from: &TokenStream, first: usize) -> Received {
    let name = ident(&item.name);
    let second = Literal::usize_unsuffixed(first + 1);
    let first = Literal::usize_unsuffixed(first);
    let result = match &item.ty {
        Type::Scalar(ty) => {
            let (value, is_result) = scalar_from_word(*ty, &quote!(#words[#first]));
            let (value, result) = match is_result {
                true => (quote!(#value?), value),
                false => (value.clone(), quote!(Ok(#value))),
            };
            return Received {
                statement: TokenStream::new(),
                value,
                result,
            };
        }
        Type::Cbuf => quote!(wire::receive(#words[#first], #words[#second], #from)),
        Type::Batch(_) | Type::Named(_) => quote!(wire::incoming(#words[#first], #from)),
    };
    Received {
        statement: quote!(let #name = #result;),
        value: quote!(#name?),
        result,
    }
}

/// What unpacks several items. Every buffer is received before any word is checked, so that
/// what was sent counts as received even when another word is refused.
pub fn from_words(items: &[Item], words: &TokenStream, from: &TokenStream) -> Vec<Received> {
    let firsts = word_indices(items);
    let pairs = items.iter().zip(firsts);
    pairs
        .map(|(item, first)| from_word(item, words, from, first))
        .collect()
}

/// The four words: each item's, then zeroes. `value` is a scalar, a `cbuf`'s pair of words, or a
/// batch's word.
pub fn to_words<'t>(items: impl Iterator<Item = (&'t Type, TokenStream)>) -> TokenStream {
    let mut all = Vec::new();
    let mut used = 0;
    for (ty, value) in items {
        used += words(ty);
        all.push(match ty {
            Type::Scalar(ty) => scalar_to_word(*ty, &value),
            Type::Cbuf => quote!(#value[0], #value[1]),
            Type::Batch(_) | Type::Named(_) => value,
        });
    }
    if used == 0 {
        return quote!([0; 4]);
    }
    for _ in used..MAX_WORDS {
        all.push(quote!(0));
    }
    quote!([#(#all),*])
}

/// Whether packing or unpacking a value goes through the `wire` module.
pub fn needs_wire(ty: &Type) -> bool {
    match ty {
        Type::Scalar(ty) => !matches!(ty, Scalar::U64 | Scalar::I64),
        Type::Cbuf | Type::Batch(_) | Type::Named(_) => true,
    }
}
