//! Files that the content component has answered before. They never change while the machine
//! runs and their bytes stay where they are, so an answer is right for as long as it is kept; a
//! hit saves two address-space switches.

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::path::is_plain;
use crate::response::FileFields;

/// A file as it was answered.
pub struct File<B> {
    pub fields: FileFields,
    pub tag: u64,
    pub modified: u64,
    pub body: Option<B>,
}

/// Places, each for one path: a path whose place is taken evicts.
const PLACES: usize = 64;
/// Longer paths are asked for each time.
const PATH_MAX: usize = 64;
/// Longer files as well: a reference to one keeps memory that may be wanted elsewhere.
pub const KEPT_MAX: usize = 64 << 10;

struct Kept<B> {
    path: Vec<u8>,
    file: Rc<File<B>>,
}

pub struct Cache<B> {
    places: Vec<Option<Kept<B>>>,
}

impl<B> Default for Cache<B> {
    fn default() -> Self {
        let mut places = Vec::new();
        places.resize_with(PLACES, || None);
        Self { places }
    }
}

impl<B> Cache<B> {
    /// The file under a path as it came.
    pub fn get(&self, path: &[u8]) -> Option<&Rc<File<B>>> {
        match &self.places[place(path)] {
            Some(kept) if kept.path == path => Some(&kept.file),
            _ => None,
        }
    }

    /// Keeps a file under the normal form of its path, if that can be found in requests as it
    /// stands: another path of the same bytes would mean another file, or none.
    pub fn insert(&mut self, path: &[u8], file: Rc<File<B>>) {
        if path.len() <= PATH_MAX && is_plain(path) {
            self.places[place(path)] = Some(Kept {
                path: path.to_vec(),
                file,
            });
        }
    }
}

fn place(path: &[u8]) -> usize {
    let (words, rest) = path.as_chunks();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let mix = |hash: u64, word: &[u8; 8]| {
        (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    };
    (mix(words.iter().fold(0, mix), &last) >> 58) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_put_and_is_bounded() {
        let mut cache = Cache::default();
        let file = |tag| {
            Rc::new(File {
                fields: FileFields::new(0, 0, tag, 0),
                tag,
                modified: 0,
                body: None::<()>,
            })
        };
        for n in 0..1000u64 {
            let path = std::format!("/{n}");
            cache.insert(path.as_bytes(), file(n));
            assert_eq!(cache.get(path.as_bytes()).unwrap().tag, n);
        }
        assert_eq!(cache.places.len(), PLACES);
        let held = (0..1000).filter(|n| cache.get(std::format!("/{n}").as_bytes()).is_some());
        assert!(held.count() <= PLACES);
        for path in [&[b'a'; PATH_MAX + 1][..], b"/%2e%2e", b"/a b", b"/.."] {
            cache.insert(path, file(1));
            assert!(cache.get(path).is_none());
        }
    }
}
