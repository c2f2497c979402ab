//! The archive against its writer, against damage, and against files that lie with a checksum
//! that matches.

use archive::{Archive, Content, Error, Flags, SegmentSource, Writer, reseal};
use proptest::prelude::*;

const BASE: u64 = abi::layout::IMAGE as u64;
const RX: Flags = Flags::READ.union(Flags::EXECUTE);
const RW: Flags = Flags::READ.union(Flags::WRITE);

fn segment(address: u64, memory: u64, data: Vec<u8>, flags: Flags) -> SegmentSource {
    SegmentSource {
        address,
        memory,
        data,
        flags,
    }
}

fn sample() -> Vec<u8> {
    Writer::new()
        .blob("manifest", b"what is in the image")
        .component(
            "init",
            BASE + 8,
            vec![
                segment(BASE, 5000, vec![0x90; 5000], RX),
                segment(BASE + 0x2000, 0x3001, vec![7; 10], RW),
            ],
        )
        .component("echo", BASE, vec![segment(BASE, 1, vec![0xc3], RX)])
        .blob("empty", b"")
        .finish()
        .expect("a well-formed archive")
}

/// Reads everything there is, as a loader would.
fn walk(file: &[u8]) -> Result<u64, Error> {
    let archive = Archive::open(file)?;
    let mut sum = 0u64;
    for entry in archive.entries() {
        match entry.content {
            Content::Blob(bytes) => sum += bytes.iter().map(|b| u64::from(*b)).sum::<u64>(),
            Content::Component(component) => {
                for part in component.segments() {
                    assert!(part.data.len() as u64 <= part.memory);
                    assert!(!part.flags.contains(Flags::WRITE | Flags::EXECUTE));
                    assert!(part.address >= BASE);
                    sum += part.data.iter().map(|b| u64::from(*b)).sum::<u64>();
                }
            }
        }
    }
    Ok(sum)
}

#[test]
fn what_was_written_is_read() {
    let file = sample();
    let archive = Archive::open(&file).unwrap();
    assert_eq!(archive.blob("manifest").unwrap(), b"what is in the image");
    assert_eq!(archive.blob("empty").unwrap(), b"");
    assert_eq!(archive.entries().count(), 4);
    let init = archive.component("init").unwrap();
    assert_eq!(init.entry, BASE + 8);
    let parts: Vec<_> = init.segments().collect();
    assert_eq!(parts.len(), 2);
    assert_eq!(
        (parts[0].memory, parts[0].data.len(), parts[0].flags),
        (0x2000, 0x2000, RX)
    );
    assert_eq!(
        (parts[1].memory, parts[1].data.len(), parts[1].flags),
        (0x4000, 0x1000, RW)
    );
    assert!(parts.iter().all(|p| p.offset.is_multiple_of(4096)));
    assert_eq!(&parts[1].data[..11], [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0]);
}

#[test]
fn what_is_not_there_is_named() {
    let file = sample();
    let archive = Archive::open(&file).unwrap();
    assert_eq!(archive.blob("nothing"), Err(Error::NotFound));
    assert_eq!(archive.blob("component/init"), Err(Error::WrongKind));
    assert_eq!(archive.component("manifest").unwrap_err(), Error::NotFound);
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let file = sample();
    for length in 0..file.len() {
        let why = walk(&file[..length]).unwrap_err();
        assert_eq!(why, Error::Truncated, "cut to {length} bytes");
    }
    let mut longer = file.clone();
    longer.push(0);
    assert_eq!(walk(&longer), Err(Error::BadLength));
}

#[test]
fn every_flipped_bit_of_the_tables_is_refused() {
    let mut file = sample();
    // Each takes a look at the whole file.
    let step = if cfg!(miri) { 509 } else { 1 };
    for bit in (0..1024 * 8).step_by(step) {
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(walk(&file).is_err(), "bit {bit}");
        file[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(walk(&file).is_ok());
}

#[test]
fn header_errors_are_told_apart() {
    let change = |at: usize, bytes: &[u8]| {
        let mut file = sample();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        walk(&file).unwrap_err()
    };
    assert_eq!(change(0, b"C"), Error::BadMagic);
    assert_eq!(change(8, &[9]), Error::BadVersion);
    assert_eq!(change(12, &[1, 2, 3, 4]), Error::BadChecksum);
    assert_eq!(change(24, &[255]), Error::TooManyEntries);
    assert_eq!(walk(b""), Err(Error::Truncated));
    assert_eq!(
        walk(b"\x7fELF\x02\x01\x01\0 and more"),
        Err(Error::BadMagic)
    );
}

#[test]
fn the_writer_refuses_what_the_reader_would() {
    let one = |parts| {
        Writer::new()
            .component("a", BASE, parts)
            .finish()
            .unwrap_err()
    };
    let refused = |error| archive::WriteError::Refused(error);
    let code = || segment(BASE, 1, vec![1], RX);
    assert_eq!(one(vec![]), refused(Error::BadSegment));
    assert_eq!(
        one(vec![segment(BASE, 1, vec![1], RW)]),
        refused(Error::BadSegment)
    );
    assert_eq!(
        one(vec![segment(BASE, 1, vec![1], RX | RW)]),
        refused(Error::BadSegment)
    );
    assert_eq!(
        one(vec![segment(BASE + 8, 1, vec![1], RX)]),
        refused(Error::BadSegment)
    );
    assert_eq!(
        one(vec![segment(0, 1, vec![1], RX)]),
        refused(Error::BadSegment)
    );
    assert_eq!(one(vec![code(), code()]), refused(Error::BadSegment));
    assert_eq!(
        one(vec![code(), segment(u64::MAX - 4095, 1, vec![], RW)]),
        refused(Error::BadSegment)
    );
    let twice = Writer::new()
        .blob("a", b"")
        .blob("a", b"")
        .finish()
        .unwrap_err();
    assert_eq!(twice, refused(Error::DuplicateName));
    let long = Writer::new()
        .blob(&"n".repeat(41), b"")
        .finish()
        .unwrap_err();
    assert_eq!(long, archive::WriteError::NameTooLong("n".repeat(41)));
}

proptest! {
    /// Lies with a checksum that matches: whatever `open` accepts can be walked.
    #[test]
    fn sealed_lies_do_not_panic(changes in prop::collection::vec((0usize..700, any::<u8>()), 1..6)) {
        let mut file = sample();
        for (at, value) in changes {
            file[at] = value;
        }
        reseal(&mut file);
        let _ = walk(&file);
        let _ = Archive::open_summed(&file);
    }

    #[test]
    fn sealed_numbers_do_not_panic(at in 0usize..170, value in prop::sample::select(vec![0, 1, 4095, 4096, u64::MAX, u64::MAX - 4095, 1 << 63, 1 << 32])) {
        let mut file = sample();
        file[at * 4..at * 4 + 8].copy_from_slice(&value.to_le_bytes());
        reseal(&mut file);
        let _ = walk(&file);
    }

    #[test]
    fn noise_does_not_panic(mut noise in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(walk(&noise).is_err());
        if noise.len() >= 24 {
            let length = noise.len() as u64;
            noise[..8].copy_from_slice(b"cistern\x1a");
            noise[8..12].copy_from_slice(&archive::VERSION.to_le_bytes());
            noise[16..24].copy_from_slice(&length.to_le_bytes());
            reseal(&mut noise);
            let _ = walk(&noise);
        }
    }
}
