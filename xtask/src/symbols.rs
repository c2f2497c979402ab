//! Names of a program's functions, short enough to be carried along and read on a console.

use archive::symbols::Source;
use elf::ElfBytes;
use elf::abi::{SHF_EXECINSTR, SHN_UNDEF, STT_FUNC, STT_NOTYPE};
use elf::endian::LittleEndian;
use std::path::Path;

/// The functions of a linked program; `name` is what the archive calls it.
pub fn read(path: &Path, name: &str) -> Result<Source, String> {
    let bytes =
        std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    parse(&bytes, name).map_err(|why| format!("{}: {why}", path.display()))
}

fn parse(bytes: &[u8], program: &str) -> Result<Source, String> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(bytes).map_err(|e| e.to_string())?;
    let table = elf.symbol_table().map_err(|e| e.to_string())?;
    let (symbols, names) = table.ok_or("it has no symbols")?;
    let sections = elf.section_headers().ok_or("it has no sections")?;
    let text = sections
        .iter()
        .filter(|s| s.sh_flags & u64::from(SHF_EXECINSTR) != 0);
    let end = text.map(|s| s.sh_addr + s.sh_size).max().unwrap_or(0);
    let address = |value: u64| {
        u32::try_from(value).map_err(|_| format!("its code reaches {value:#x}, beyond 32 bits"))
    };
    let mut functions = Vec::new();
    for symbol in symbols.iter() {
        // Assembly may leave the kind out.
        let kind = symbol.st_symtype();
        let section = sections.get(usize::from(symbol.st_shndx));
        let code = section.is_ok_and(|s| s.sh_flags & u64::from(SHF_EXECINSTR) != 0);
        if symbol.st_shndx == SHN_UNDEF || !code || (kind != STT_FUNC && kind != STT_NOTYPE) {
            continue;
        }
        let mangled = names
            .get(symbol.st_name as usize)
            .map_err(|e| e.to_string())?;
        let name = shortened(&format!("{:#}", rustc_demangle::demangle(mangled)));
        functions.push((address(symbol.st_value)?, name));
    }
    // Several names at one address: always the same one, whatever order the linker chose.
    functions.sort();
    Ok(Source {
        name: program.into(),
        functions,
        end: address(end)?,
    })
}

/// Without the arguments of generic types: `<T as Trait<U>>::f::<V>` becomes `T::f`.
fn shortened(name: &str) -> String {
    let mut short = String::new();
    let mut rest = name;
    while let Some(at) = rest.find('<') {
        let (before, inside, after) = match bracket(rest, at) {
            Some(parts) => parts,
            None => break,
        };
        let generic = !(before.is_empty() || before.ends_with([' ', '&', '(', '*']));
        short += before
            .strip_suffix("::")
            .filter(|_| generic)
            .unwrap_or(before);
        if !generic {
            short += &shortened(implementor(inside));
        }
        rest = after;
    }
    short + rest
}

/// What is before the bracket at `at`, in it, and behind it; an arrow closes none.
fn bracket(text: &str, at: usize) -> Option<(&str, &str, &str)> {
    let mut depth = 0;
    let mut last = ' ';
    for (n, c) in text[at..].char_indices() {
        match c {
            '<' => depth += 1,
            '>' if last != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..at], &text[at + 1..at + n], &text[at + n + 1..]));
        }
        last = c;
    }
    None
}

/// The type in `Type as Trait`, or all of it.
fn implementor(text: &str) -> &str {
    let mut depth = 0;
    for (n, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            ' ' if depth == 0 && text[n..].starts_with(" as ") => return &text[..n],
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn names_are_shortened() {
        for (long, short) in [
            ("_start", "_start"),
            ("cgi::crash", "cgi::crash"),
            ("<core::fmt::Formatter>::pad", "core::fmt::Formatter::pad"),
            ("<cgi::Pages as stubs::cgi::Server>::run", "cgi::Pages::run"),
            ("rt::sync::Mutex<T>::wait", "rt::sync::Mutex::wait"),
            ("<&str as core::fmt::Display>::fmt", "&str::fmt"),
            ("<&T as core::fmt::Display>::fmt", "&T::fmt"),
            (
                "core::ptr::drop_in_place<a::B<c::D<e::F>>>",
                "core::ptr::drop_in_place",
            ),
            (
                "core::ptr::drop_in_place::<a::B<c::D>>",
                "core::ptr::drop_in_place",
            ),
            (
                "<a::B<c::D> as e::F<fn(u8) -> G<u8>>>::h::{closure#0}",
                "a::B::h::{closure#0}",
            ),
            ("<(a::B, c::D<e>) as f::G>::h", "(a::B, c::D)::h"),
            ("<<a::B as c::D>::E as f::G>::h", "a::B::E::h"),
            ("<[a::B<c>] as f::G>::h", "[a::B]::h"),
            ("a < b", "a < b"),
            ("", ""),
        ] {
            assert_eq!(shortened(long), short, "{long}");
        }
    }

    #[test]
    fn a_hosted_program_has_functions() {
        assert!(super::parse(b"", "x").is_err());
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let source = super::parse(&own, "x").unwrap();
        let here = |(_, name): &&(u32, String)| name == "xtask::symbols::shortened";
        assert_eq!(source.functions.iter().filter(here).count(), 1);
        assert!(source.functions.iter().all(|(at, _)| *at < source.end));
    }
}
