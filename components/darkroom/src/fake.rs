//! Memory of a stated size, and forms to upload.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::{Deref, DerefMut};
use std::{format, vec};

use cistern_image::{Full, Memory};

/// Memory that knows how much of it is in use.
pub struct Heap {
    used: Rc<Cell<usize>>,
    size: usize,
}

pub struct Room {
    bytes: Vec<u8>,
    used: Rc<Cell<usize>>,
}

#[derive(Clone)]
pub struct Bytes(Rc<Room>, usize);

impl Heap {
    pub fn new(size: usize) -> Self {
        Self {
            used: Rc::default(),
            size,
        }
    }

    pub fn used(&self) -> usize {
        self.used.get()
    }
}

impl Memory for Heap {
    type Room = Room;
    type Bytes = Bytes;

    fn room(&self, bytes: usize) -> Result<Room, Full> {
        let used = self.used.get() + bytes;
        if used > self.size {
            return Err(Full { bytes });
        }
        self.used.set(used);
        Ok(Room {
            bytes: vec![0xaa; bytes],
            used: self.used.clone(),
        })
    }

    fn finish(&self, room: Room, bytes: usize) -> Bytes {
        assert!(bytes <= room.bytes.len());
        Bytes(Rc::new(room), bytes)
    }
}

impl Deref for Room {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.used.set(self.used.get() - self.bytes.len());
    }
}

impl Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

/// The body of a form with these files, its boundary `X`, and a field that is no file before them.
pub fn form(files: &[Vec<u8>]) -> Vec<u8> {
    let mut body = b"--X\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nsea\r\n".to_vec();
    for (n, file) in files.iter().enumerate() {
        let head = format!(
            "--X\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"{n}.png\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--X--\r\n");
    body
}
