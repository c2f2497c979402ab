//! `cargo xtask new-component NAME`: a component that builds, boots and answers an invocation.

use crate::project::Project;
use std::fs;
use std::path::PathBuf;

/// Longest name that an image description takes.
const NAME_BYTES: usize = 14;
/// Words that would not do as the name of a Rust module, a package or an image.
const TAKEN: [&str; 60] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "caller",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "images",
    "impl",
    "in",
    "incremental",
    "init",
    "interface",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "unsafe",
    "use",
    "virtual",
    "where",
];

/// A template and where its text goes, with `@NAME@` and `@MODULE@` filled in.
const FILES: [(&str, &str); 6] = [
    (
        "components/@NAME@/Cargo.toml",
        include_str!("../templates/Cargo.toml.in"),
    ),
    (
        "components/@NAME@/src/lib.rs",
        include_str!("../templates/lib.rs.in"),
    ),
    (
        "components/@NAME@/src/main.rs",
        include_str!("../templates/main.rs.in"),
    ),
    (
        "components/@NAME@/src/caller.rs",
        include_str!("../templates/caller.rs.in"),
    ),
    (
        "idl/interfaces/@MODULE@.idl",
        include_str!("../templates/interface.idl.in"),
    ),
    (
        "components/images/@NAME@.toml",
        include_str!("../templates/image.toml.in"),
    ),
];

/// Writes the files and answers their paths; nothing is written when one of them exists or the name does not do.
pub fn create(project: &Project, name: &str) -> Result<Vec<PathBuf>, String> {
    check_name(name)?;
    if project.names()?.iter().any(|taken| taken == name) {
        return Err(format!("a package `{name}` exists already"));
    }
    let number = idl::free_number(&project.interfaces_folder()).map_err(|r| r.to_string())?;
    let module = name.replace('-', "_");
    let fill = |text: &str| {
        text.replace("@NAME@", name)
            .replace("@MODULE@", &module)
            .replace("@NUMBER@", &number.to_string())
    };
    let files: Vec<(PathBuf, String)> = FILES
        .iter()
        .map(|(path, text)| (project.root.join(fill(path)), fill(text)))
        .collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        return Err(format!("{} exists already", project.shown(path)));
    }
    for (path, text) in &files {
        let folder = path.parent().unwrap_or(&project.root);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(path, text))
            .map_err(|e| format!("{} cannot be written: {e}", project.shown(path)))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

fn check_name(name: &str) -> Result<(), String> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts || !name.chars().all(inner) || name.ends_with('-') || name.contains("--") {
        return Err(format!(
            "`{name}` is no component name: use lower-case letters, digits and single `-`, a letter first"
        ));
    }
    if name.len() > NAME_BYTES {
        return Err(format!("`{name}` is longer than {NAME_BYTES} letters"));
    }
    if TAKEN.contains(&name) {
        return Err(format!(
            "`{name}` has a meaning of its own in Rust, cargo or an image: choose another"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["hello", "a", "disk-cache", "e1000"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "Hello", "9p", "a b", "a--b", "a-", "../x", "a_b", "ä"] {
            assert!(
                check_name(bad)
                    .unwrap_err()
                    .contains("is no component name"),
                "{bad}"
            );
        }
        assert!(
            check_name("a-name-so-long-")
                .unwrap_err()
                .contains("single `-`")
        );
        assert!(
            check_name("a-name-so-longer")
                .unwrap_err()
                .contains("longer than 14")
        );
        for taken in ["init", "fn", "core", "images", "test"] {
            assert!(
                check_name(taken)
                    .unwrap_err()
                    .contains("meaning of its own"),
                "{taken}"
            );
        }
    }

    #[test]
    fn what_exists_is_not_overwritten() {
        let project = Project::open().unwrap();
        let why = create(&project, "sched").unwrap_err();
        assert_eq!(why, "a package `sched` exists already");
        let why = create(&project, "archive").unwrap_err();
        assert_eq!(why, "a package `archive` exists already");
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for (path, text) in FILES {
            let filled = text
                .replace("@NAME@", "")
                .replace("@MODULE@", "")
                .replace("@NUMBER@", "");
            assert!(!filled.contains('@'), "{path}");
        }
    }
}
