//! Writing, for the build tool.

use std::collections::HashMap;

/// A program's functions.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The program's name, at most 255 bytes.
    pub name: String,
    /// First address and name (`path::to::function`) of each, in any order. Of several at one
    /// address the first is kept; empty names are left out.
    pub functions: Vec<(u32, String)>,
    /// Where the text ends.
    pub end: u32,
}

/// Longest word, and most words in a name, that the form has room for; what is longer is cut.
const MAX: usize = u8::MAX as usize;

/// The blob, which [`super::Symbols`] reads.
pub fn encode(programs: &[Source]) -> Vec<u8> {
    let programs: Vec<Source> = programs.iter().map(sorted).collect();
    let names = || programs.iter().flat_map(|p| &p.functions);
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for word in names().flat_map(|(_, name)| split(name)) {
        *uses.entry(word).or_default() += 1;
    }
    let mut words: Vec<&str> = uses.keys().copied().collect();
    words.sort_by_key(|word| (usize::MAX - uses[word], *word));
    let index: HashMap<&str, usize> = words.iter().enumerate().map(|(n, w)| (*w, n)).collect();

    let mut blob = Vec::new();
    number(&mut blob, words.len());
    words.iter().for_each(|word| text(&mut blob, word));
    number(&mut blob, programs.len());
    for program in &programs {
        let mut functions = Vec::new();
        let mut at = 0;
        for (start, name) in &program.functions {
            number(&mut functions, (start - at) as usize);
            at = *start;
            functions.push(split(name).count() as u8);
            for word in split(name) {
                number(&mut functions, index[word]);
            }
        }
        number(&mut functions, program.end.saturating_sub(at) as usize);
        functions.push(0);
        text(&mut blob, &program.name);
        number(&mut blob, functions.len());
        blob.extend(functions);
    }
    blob
}

fn sorted(program: &Source) -> Source {
    let mut program = program.clone();
    program.functions.retain(|(_, name)| !name.is_empty());
    program.functions.sort_by_key(|(start, _)| *start);
    program.functions.dedup_by_key(|(start, _)| *start);
    program
}

fn split(name: &str) -> impl Iterator<Item = &str> {
    name.split("::").take(MAX).map(cut)
}

/// The longest beginning that fits, in whole characters.
fn cut(word: &str) -> &str {
    let end = (0..=word.len().min(MAX))
        .rev()
        .find(|end| word.is_char_boundary(*end));
    &word[..end.unwrap_or(0)]
}

fn text(blob: &mut Vec<u8>, text: &str) {
    let text = cut(text);
    blob.push(text.len() as u8);
    blob.extend_from_slice(text.as_bytes());
}

fn number(blob: &mut Vec<u8>, value: usize) {
    let mut value = value as u32;
    while value >= 0x80 {
        blob.push(value as u8 | 0x80);
        value >>= 7;
    }
    blob.push(value as u8);
}
