//! The interface compiler: `.idl` files to Rust modules with client stubs and server skeletons.
//!
//! Guarantees: never panics and always ends, whatever the bytes; a file that is accepted yields
//! code that compiles; every problem is reported with its place and what is accepted instead.
//! The code it makes takes no word and no record on trust: scalars out of range, buffers that
//! are unknown or too small and unknown methods become errors.
//! Trusts: nothing but the Rust toolchain that compiles the result.
//! Never does: writes outside the folder it is given; decides when a server copies (that is
//! the record iterator in `libcbuf`). The language is described in `docs/idl.md`.
//! Source: CBUFs, section 2 (cbuf_send and cbuf2buf at component borders).

#![forbid(unsafe_code)]

pub mod ast;
pub mod check;
mod client;
mod folder;
mod generate;
pub mod layout;
mod lexer;
mod parser;
mod record;
mod rust;
mod server;
pub mod source;

pub use folder::{Compiled, compile_all, compile_folder, free_number};
pub use source::{Report, Source};

use ast::Interface;

/// A checked interface.
pub fn interface(source: &Source) -> Result<Interface, Report> {
    let interface = parser::parse(source).map_err(|problem| source.report(vec![problem]))?;
    let problems = check::check(&interface);
    match problems.is_empty() {
        true => Ok(interface),
        false => Err(source.report(problems)),
    }
}

/// The Rust module of a checked interface; `file` is named in its first line.
pub fn generate(interface: &Interface, file: &str) -> Result<String, Report> {
    generate::generate(interface, file).map_err(|text| Report::plain(format!("{file}: {text}")))
}
