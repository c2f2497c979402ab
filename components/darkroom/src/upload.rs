//! An upload: a form whose files are gathered, each in one piece of memory, as its bytes come.

use alloc::vec::Vec;
use core::mem;

use cistern_form::{Boundary, Event, Form};
use cistern_image::Memory;

use crate::Refusal;

/// Room that a file begins with; doubled whenever it is full.
const FIRST: usize = 64 * 1024;

/// How much one upload may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of the whole body.
    pub body: u64,
    /// Bytes of a file.
    pub file: usize,
    pub files: usize,
}

impl Limits {
    /// What the sentences of [`Refusal`] say. A file fits in the largest CBUF.
    pub const STANDARD: Self = Self {
        body: 48 << 20,
        file: 16 << 20,
        files: 12,
    };
}

/// Photographs on their way in.
pub struct Upload<M: Memory> {
    form: Form,
    limits: Limits,
    /// Bytes that are still to come.
    left: u64,
    part: Part<M::Room>,
    files: Vec<M::Bytes>,
}

/// What the form is in.
enum Part<R> {
    None,
    /// A field that is no file; nobody asked for it.
    Other,
    File {
        room: R,
        bytes: usize,
    },
}

impl<M: Memory> Upload<M> {
    /// An upload of `length` bytes with that content type.
    pub fn new(content_type: &[u8], length: u64, limits: Limits) -> Result<Self, Refusal> {
        if length > limits.body {
            return Err(Refusal::TOO_LONG);
        }
        let boundary = Boundary::of_content_type(content_type).map_err(|_| Refusal::NO_FORM)?;
        Ok(Self {
            form: Form::new(boundary),
            limits,
            left: length,
            part: Part::None,
            files: Vec::new(),
        })
    }

    /// Takes the next bytes. After a refusal the upload is over.
    pub fn take(&mut self, memory: &M, bytes: &[u8]) -> Result<(), Refusal> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or(Refusal::MORE_THAN_SAID)?;
        let Self {
            form,
            limits,
            part,
            files,
            ..
        } = self;
        form.read(bytes, &mut |event| {
            match event {
                Event::Part(name) if name.file.is_some_and(|file| !file.is_empty()) => {
                    if files.len() >= limits.files {
                        return Err(Refusal::TOO_MANY);
                    }
                    *part = Part::File {
                        room: memory.room(FIRST.min(limits.file))?,
                        bytes: 0,
                    };
                }
                Event::Part(_) => *part = Part::Other,
                Event::Data(more) => part.append(memory, more, limits.file)?,
                Event::End => {
                    if let Part::File { room, bytes } = mem::replace(part, Part::None) {
                        files.push(memory.finish(room, bytes));
                    }
                }
            }
            Ok(())
        })
    }

    /// The photographs' files, once the body is complete.
    pub fn end(self) -> Result<Vec<M::Bytes>, Refusal> {
        if !self.form.is_ended() {
            return Err(Refusal::ENDED_EARLY);
        }
        match self.files.len() {
            0 | 1 => Err(Refusal::TOO_FEW),
            _ => Ok(self.files),
        }
    }
}

impl<R: core::ops::DerefMut<Target = [u8]>> Part<R> {
    fn append<M: Memory<Room = R>>(
        &mut self,
        memory: &M,
        more: &[u8],
        most: usize,
    ) -> Result<(), Refusal> {
        let Self::File { room, bytes } = self else {
            return Ok(());
        };
        let end = *bytes + more.len();
        if end > most {
            return Err(Refusal::FILE_TOO_LONG);
        }
        if end > room.len() {
            let mut larger = memory.room(end.next_power_of_two().min(most))?;
            larger[..*bytes].copy_from_slice(&room[..*bytes]);
            *room = larger;
        }
        room[*bytes..end].copy_from_slice(more);
        *bytes = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Heap, form};
    use std::vec;

    const TYPE: &[u8] = b"multipart/form-data; boundary=X";
    const LIMITS: Limits = Limits {
        body: 1_000_000,
        file: 300_000,
        files: 3,
    };

    fn upload(heap: &Heap, body: &[u8], step: usize) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut upload = Upload::new(TYPE, body.len() as u64, LIMITS)?;
        for piece in body.chunks(step) {
            upload.take(heap, piece)?;
        }
        Ok(upload.end()?.iter().map(|file| file.to_vec()).collect())
    }

    #[test]
    fn files_arrive_whole() {
        let heap = Heap::new(2 << 20);
        // A quarter of a megabyte grows twice; one byte over a power of two and one under.
        let sizes = [0, 1, FIRST - 1, FIRST, FIRST + 1, 2 * FIRST + 1, 300_000];
        for pair in sizes.windows(2) {
            let file = |n: usize| (0..n).map(|i| (i * 7 / 3) as u8).collect::<Vec<_>>();
            let files = vec![file(pair[0]), file(pair[1])];
            for step in [997, 4096, 1 << 20] {
                assert_eq!(upload(&heap, &form(&files), step), Ok(files.clone()));
            }
        }
        assert_eq!(heap.used(), 0);
    }

    #[test]
    fn what_goes_beyond_a_limit_is_refused_and_gives_its_memory_back() {
        let heap = Heap::new(1 << 20);
        let files = |sizes: &[usize]| {
            let files: Vec<_> = sizes.iter().map(|&n| vec![5; n]).collect();
            form(&files)
        };
        for (body, refusal) in [
            (files(&[10]), Refusal::TOO_FEW),
            (files(&[]), Refusal::TOO_FEW),
            (files(&[1; 4]), Refusal::TOO_MANY),
            (files(&[10, 300_001]), Refusal::FILE_TOO_LONG),
            (files(&[250_000; 4]), Refusal::TOO_LONG),
            (files(&[10, 10])[..60].to_vec(), Refusal::ENDED_EARLY),
            (
                b"no form at all, whatever it says, and that goes on".repeat(10),
                Refusal::BROKEN,
            ),
        ] {
            for step in [13, 1 << 20] {
                assert_eq!(upload(&heap, &body, step), Err(refusal));
                assert_eq!(heap.used(), 0);
            }
        }
        let small = Heap::new(3 * FIRST - 1);
        let fits = files(&[FIRST, FIRST]);
        assert!(upload(&small, &fits, 1000).is_ok());
        // The second file needs a larger room beside its first.
        let none = files(&[FIRST, FIRST + 1]);
        assert_eq!(upload(&small, &none, 1000), Err(Refusal::NO_MEMORY));
        assert_eq!(small.used(), 0);
    }

    #[test]
    fn the_length_that_was_said_holds() {
        let heap = Heap::new(1 << 20);
        let body = form(&[vec![1], vec![2]]);
        let mut upload = Upload::new(TYPE, body.len() as u64 - 1, LIMITS).unwrap();
        assert_eq!(upload.take(&heap, &body), Err(Refusal::MORE_THAN_SAID));
        assert!(matches!(
            Upload::<Heap>::new(b"image/png", 5, LIMITS),
            Err(Refusal::NO_FORM)
        ));
        assert!(matches!(
            Upload::<Heap>::new(TYPE, LIMITS.body + 1, LIMITS),
            Err(Refusal::TOO_LONG)
        ));
    }
}
