//! Reading: everything is checked in `open`, so that the accessors only slice.

use crate::format::{self, MAX_ENTRIES, MAX_SEGMENTS, NAME_BYTES, entry, header, segment};
use crate::{COMPONENT_PREFIX, Error, Flags};
use abi::layout::{IMAGE, PAGE, START_INFO};

/// A checked archive.
#[derive(Clone, Copy, Debug)]
pub struct Archive<'a> {
    file: &'a [u8],
    entries: usize,
}

/// One named thing in the archive.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub name: &'a str,
    pub content: Content<'a>,
}

#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    Blob(&'a [u8]),
    Component(Component<'a>),
}

/// A component's program: its segments ascend and do not overlap.
#[derive(Clone, Copy, Debug)]
pub struct Component<'a> {
    file: &'a [u8],
    /// Address of its first instruction, inside an executable segment.
    pub entry: u64,
    table: &'a [u8],
}

/// A run of pages of a component. All sizes and addresses are multiples of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    pub address: u64,
    /// Bytes in memory; what `data` does not fill is zero.
    pub memory: u64,
    pub data: &'a [u8],
    /// Where `data` begins in the file.
    pub offset: u64,
    /// Read, write, execute; never the last two at once.
    pub flags: Flags,
}

impl<'a> Archive<'a> {
    /// Checks the whole file, checksum included: some 2 instructions a byte.
    pub fn open(file: &'a [u8]) -> Result<Self, Error> {
        let archive = Self::check_header(file)?;
        if format::u32_at(file, header::CHECKSUM) != format::checksum(file) {
            return Err(Error::BadChecksum);
        }
        archive.check_entries()
    }

    /// Like [`Archive::open`] for a file whose checksum somebody else has already compared:
    /// every other check is made.
    pub fn open_summed(file: &'a [u8]) -> Result<Self, Error> {
        Self::check_header(file)?.check_entries()
    }

    fn check_header(file: &'a [u8]) -> Result<Self, Error> {
        let magic = file
            .get(header::MAGIC..header::VERSION)
            .ok_or(Error::Truncated)?;
        if magic != format::MAGIC {
            return Err(Error::BadMagic);
        }
        let word = |at| format::u32_at(file, at).ok_or(Error::Truncated);
        if word(header::VERSION)? != format::VERSION {
            return Err(Error::BadVersion);
        }
        let length = format::u64_at(file, header::LENGTH).ok_or(Error::Truncated)?;
        match length.cmp(&(file.len() as u64)) {
            core::cmp::Ordering::Greater => return Err(Error::Truncated),
            core::cmp::Ordering::Less => return Err(Error::BadLength),
            core::cmp::Ordering::Equal => {}
        }
        let entries = word(header::ENTRIES)? as usize;
        let segments = word(header::SEGMENTS)? as usize;
        if entries > MAX_ENTRIES || segments > MAX_ENTRIES * MAX_SEGMENTS {
            return Err(Error::TooManyEntries);
        }
        if Self::tables_end(entries, segments) > file.len() {
            return Err(Error::Truncated);
        }
        Ok(Self { file, entries })
    }

    fn tables_end(entries: usize, segments: usize) -> usize {
        header::BYTES + entries * entry::BYTES + segments * segment::BYTES
    }

    fn check_entries(self) -> Result<Self, Error> {
        for i in 0..self.entries {
            let found = self.entry(i)?;
            for earlier in 0..i {
                if self.raw_name(earlier)? == found.name {
                    return Err(Error::DuplicateName);
                }
            }
            if let Content::Component(component) = found.content {
                component.check()?;
            }
        }
        Ok(self)
    }

    fn raw(&self, i: usize) -> Result<&'a [u8], Error> {
        let at = header::BYTES + i * entry::BYTES;
        self.file.get(at..at + entry::BYTES).ok_or(Error::BadEntry)
    }

    fn raw_name(&self, i: usize) -> Result<&'a str, Error> {
        let field = self.raw(i)?.get(..NAME_BYTES).ok_or(Error::BadEntry)?;
        let end = field.iter().position(|b| *b == 0).unwrap_or(NAME_BYTES);
        let (name, padding) = field.split_at(end);
        if name.is_empty()
            || !name.iter().all(u8::is_ascii_graphic)
            || padding.iter().any(|b| *b != 0)
        {
            return Err(Error::BadEntry);
        }
        core::str::from_utf8(name).map_err(|_| Error::BadEntry)
    }

    /// Number of segments of all components, from the header.
    fn segments(&self) -> usize {
        format::u32_at(self.file, header::SEGMENTS).unwrap_or(0) as usize
    }

    fn entry(&self, i: usize) -> Result<Entry<'a>, Error> {
        let raw = self.raw(i)?;
        let name = self.raw_name(i)?;
        let kind = format::u32_at(raw, entry::KIND).ok_or(Error::BadEntry)?;
        let run = format::u32_at(raw, entry::SEGMENTS).ok_or(Error::BadEntry)? as usize;
        let place = format::u64_at(raw, entry::WHERE).ok_or(Error::BadEntry)?;
        let extent = format::u64_at(raw, entry::EXTENT).ok_or(Error::BadEntry)?;
        let segments = self.segments();
        let data = Self::tables_end(self.entries, segments) as u64;
        let content = match kind {
            format::KIND_BLOB if run == 0 => {
                Content::Blob(range(self.file, data, place, extent).ok_or(Error::BadEntry)?)
            }
            format::KIND_COMPONENT => {
                let count = usize::try_from(extent).map_err(|_| Error::BadEntry)?;
                let inside = run.checked_add(count).is_some_and(|end| end <= segments);
                let named = name
                    .strip_prefix(COMPONENT_PREFIX)
                    .is_some_and(|n| !n.is_empty());
                if !inside || !named || count > MAX_SEGMENTS {
                    return Err(Error::BadEntry);
                }
                let at = Self::tables_end(self.entries, run);
                let table = self
                    .file
                    .get(at..at + count * segment::BYTES)
                    .ok_or(Error::BadEntry)?;
                Content::Component(Component {
                    file: self.file,
                    entry: place,
                    table,
                })
            }
            _ => return Err(Error::BadEntry),
        };
        Ok(Entry { name, content })
    }

    /// All entries, in file order.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'a>> + 'a {
        let archive = *self;
        (0..archive.entries).filter_map(move |i| archive.entry(i).ok())
    }

    /// The bytes of the blob of that name.
    pub fn blob(&self, name: &str) -> Result<&'a [u8], Error> {
        match self
            .entries()
            .find(|e| e.name == name)
            .ok_or(Error::NotFound)?
            .content
        {
            Content::Blob(bytes) => Ok(bytes),
            Content::Component(_) => Err(Error::WrongKind),
        }
    }

    /// The program `component/NAME`.
    pub fn component(&self, name: &str) -> Result<Component<'a>, Error> {
        let found = self
            .entries()
            .find(|e| e.name.strip_prefix(COMPONENT_PREFIX) == Some(name))
            .ok_or(Error::NotFound)?;
        match found.content {
            Content::Component(component) => Ok(component),
            Content::Blob(_) => Err(Error::WrongKind),
        }
    }
}

impl<'a> Component<'a> {
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> + use<'a> {
        let file = self.file;
        self.table
            .chunks_exact(segment::BYTES)
            .filter_map(move |raw| parse(file, raw))
    }

    fn check(&self) -> Result<(), Error> {
        let mut end = IMAGE as u64;
        let mut enters = false;
        for raw in self.table.chunks_exact(segment::BYTES) {
            let part = parse(self.file, raw).ok_or(Error::BadSegment)?;
            if part.address < end {
                return Err(Error::BadSegment);
            }
            end = part.address + part.memory;
            enters |=
                part.flags.contains(Flags::EXECUTE) && (part.address..end).contains(&self.entry);
        }
        if enters {
            Ok(())
        } else {
            Err(Error::BadSegment)
        }
    }
}

/// A segment whose own fields are all in order; `None` otherwise.
fn parse<'a>(file: &'a [u8], raw: &'a [u8]) -> Option<Segment<'a>> {
    let address = format::u64_at(raw, segment::ADDRESS)?;
    let memory = format::u64_at(raw, segment::MEMORY)?;
    let offset = format::u64_at(raw, segment::OFFSET)?;
    let bytes = format::u64_at(raw, segment::FILE)?;
    let flags = Flags::from_bits(u8::try_from(format::u32_at(raw, segment::FLAGS)?).ok()?)?;
    let page = PAGE as u64;
    let whole_pages = [address, memory, offset, bytes]
        .iter()
        .all(|n| n % page == 0);
    let fits = address >= IMAGE as u64 && address.checked_add(memory)? <= START_INFO as u64;
    let sane = memory > 0
        && bytes <= memory
        && flags.contains(Flags::READ)
        && !flags.contains(Flags::GRANT)
        && !flags.contains(Flags::WRITE.union(Flags::EXECUTE));
    if !whole_pages || !fits || !sane {
        return None;
    }
    let data = range(file, header::BYTES as u64, offset, bytes)?;
    Some(Segment {
        address,
        memory,
        data,
        offset,
        flags,
    })
}

/// `file[offset..][..bytes]` if it begins at `first` or later and ends inside.
fn range(file: &[u8], first: u64, offset: u64, bytes: u64) -> Option<&[u8]> {
    let end = usize::try_from(offset.checked_add(bytes)?).ok()?;
    let start = usize::try_from(offset).ok()?;
    (offset >= first).then(|| file.get(start..end))?
}
