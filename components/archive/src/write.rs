//! Writing, for the build tool.

use crate::format::{self, NAME_BYTES, entry, header, segment};
use crate::{Archive, COMPONENT_PREFIX, Error, Flags};
use abi::layout::PAGE;

/// A segment as the build tool hands it over; sizes need not be whole pages yet.
#[derive(Clone, Debug)]
pub struct SegmentSource {
    /// A multiple of a page.
    pub address: u64,
    pub memory: u64,
    pub data: Vec<u8>,
    pub flags: Flags,
}

/// Why an archive could not be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteError {
    NameTooLong(String),
    /// The finished file does not pass the reader's own checks.
    Refused(Error),
}

impl core::fmt::Display for WriteError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            WriteError::NameTooLong(name) => {
                write!(
                    f,
                    "`{name}` is longer than the {NAME_BYTES} bytes of an entry's name"
                )
            }
            WriteError::Refused(why) => write!(f, "{why}"),
        }
    }
}

impl core::error::Error for WriteError {}

enum Content {
    Blob(Vec<u8>),
    Component {
        entry: u64,
        segments: Vec<SegmentSource>,
    },
}

/// Collects entries, then writes the file in one go.
#[derive(Default)]
pub struct Writer {
    entries: Vec<(String, Content)>,
}

impl Writer {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn blob(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        self.entries
            .push((name.into(), Content::Blob(bytes.into())));
        self
    }

    /// `name` without the prefix; `entry` is the address of the first instruction.
    pub fn component(&mut self, name: &str, entry: u64, segments: Vec<SegmentSource>) -> &mut Self {
        let name = format!("{COMPONENT_PREFIX}{name}");
        self.entries
            .push((name, Content::Component { entry, segments }));
        self
    }

    /// The finished file, checked with the reader.
    pub fn finish(&self) -> Result<Vec<u8>, WriteError> {
        let segments: usize = self.entries.iter().map(|(_, c)| c.segments()).sum();
        let first_segment = header::BYTES + self.entries.len() * entry::BYTES;
        let mut file = vec![0; first_segment + segments * segment::BYTES];
        put(&mut file, header::MAGIC, &format::MAGIC);
        put(&mut file, header::VERSION, &format::VERSION.to_le_bytes());
        put(
            &mut file,
            header::ENTRIES,
            &(self.entries.len() as u32).to_le_bytes(),
        );
        put(
            &mut file,
            header::SEGMENTS,
            &(segments as u32).to_le_bytes(),
        );
        let mut next = 0;
        for (i, (name, content)) in self.entries.iter().enumerate() {
            let at = header::BYTES + i * entry::BYTES;
            if name.len() > NAME_BYTES {
                return Err(WriteError::NameTooLong(name.clone()));
            }
            put(&mut file, at, name.as_bytes());
            let (kind, run, place, extent) = match content {
                Content::Blob(bytes) => {
                    let place = file.len() as u64;
                    file.extend_from_slice(bytes);
                    (format::KIND_BLOB, 0, place, bytes.len() as u64)
                }
                Content::Component { entry, segments } => {
                    let run = next;
                    for source in segments {
                        let at = first_segment + next * segment::BYTES;
                        put_segment(&mut file, at, source);
                        next += 1;
                    }
                    (
                        format::KIND_COMPONENT,
                        run as u32,
                        *entry,
                        segments.len() as u64,
                    )
                }
            };
            put(&mut file, at + entry::KIND, &kind.to_le_bytes());
            put(&mut file, at + entry::SEGMENTS, &run.to_le_bytes());
            put(&mut file, at + entry::WHERE, &place.to_le_bytes());
            put(&mut file, at + entry::EXTENT, &extent.to_le_bytes());
        }
        let length = file.len() as u64;
        put(&mut file, header::LENGTH, &length.to_le_bytes());
        format::reseal(&mut file);
        Archive::open(&file).map_err(WriteError::Refused)?;
        Ok(file)
    }
}

impl Content {
    fn segments(&self) -> usize {
        match self {
            Content::Blob(_) => 0,
            Content::Component { segments, .. } => segments.len(),
        }
    }
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Writes the segment's record at `at` and appends its data as whole pages.
fn put_segment(file: &mut Vec<u8>, at: usize, source: &SegmentSource) {
    file.resize(file.len().next_multiple_of(PAGE), 0);
    let offset = file.len() as u64;
    file.extend_from_slice(&source.data);
    file.resize(file.len().next_multiple_of(PAGE), 0);
    let bytes = file.len() as u64 - offset;
    let memory = source.memory.next_multiple_of(PAGE as u64);
    put(file, at + segment::ADDRESS, &source.address.to_le_bytes());
    put(file, at + segment::MEMORY, &memory.to_le_bytes());
    put(file, at + segment::OFFSET, &offset.to_le_bytes());
    put(file, at + segment::FILE, &bytes.to_le_bytes());
    put(
        file,
        at + segment::FLAGS,
        &u32::from(source.flags.bits()).to_le_bytes(),
    );
}
