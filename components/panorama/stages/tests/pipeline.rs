//! The whole pipeline on a host: files in, a file out, memory back, and every way to say no.

use cistern_compose::decode::{Limits, decode, probe};
use cistern_compose::encode;
use cistern_image::{Memory, Raster, Size};
use cistern_panorama_testset::{View, make};
use cistern_stages::{Failure, Finished, Heap, Made, Part, Runner, Stage, conduct};

/// Runs stages here, and keeps account of what they handed on.
struct Host<'h> {
    heap: &'h Heap,
    ran: Vec<Stage>,
    /// A stage after which nobody waits any more.
    patience: Option<Stage>,
}

impl<'h> Host<'h> {
    fn new(heap: &'h Heap) -> Self {
        Self {
            heap,
            ran: Vec::new(),
            patience: None,
        }
    }
}

impl Runner for Host<'_> {
    type Bytes = Finished;

    fn run(
        &mut self,
        stage: Stage,
        parts: &[Part<Finished>],
    ) -> Result<Vec<Part<Finished>>, Failure> {
        self.ran.push(stage);
        stage.run(self.heap, parts)
    }
    fn now(&mut self) -> u64 {
        self.ran.len() as u64
    }
    fn is_wanted(&mut self) -> bool {
        self.patience.is_none_or(|last| !self.ran.contains(&last))
    }
}

fn png(view: &View) -> Vec<u8> {
    let size = Size::new(view.width as u32, view.height as u32).unwrap();
    let image = Raster::<_, 3>::packed(&view.rgb[..], size).unwrap();
    let mut out = vec![0; encode::bound(view.width, view.height, 3)];
    let length = encode::png(&image, &mut out).unwrap();
    out.truncate(length);
    out
}

fn run(heap: &Heap, files: &[Vec<u8>]) -> (Made<Finished>, Vec<Stage>) {
    let files = files.iter().map(|file| heap.keep(file).unwrap()).collect();
    let mut host = Host::new(heap);
    (conduct(files, &mut host), host.ran)
}

#[test]
fn two_photographs_become_one_larger_picture_and_memory_comes_back() {
    let set = make("canyon-2");
    let files: Vec<_> = set.views.iter().map(png).collect();
    let heap = Heap::new(64 << 20);
    let (made, ran) = run(&heap, &files);
    let file = made.panorama.unwrap();
    let limits = Limits {
        bytes: 1 << 30,
        pixels: 1 << 26,
    };
    let size = probe(&file, limits).unwrap().size;
    assert!(size.width() > set.views[0].width * 5 / 4, "{size:?}");
    assert!(size.height() > set.views[0].height * 3 / 4, "{size:?}");
    let mut pixels = vec![0; size.pixels() * 3];
    let mut out = Raster::packed(&mut pixels[..], size).unwrap();
    decode(&file, limits, &mut out).unwrap();
    let expected = [
        Stage::Decode,
        Stage::Features,
        Stage::Decode,
        Stage::Features,
        Stage::Pairs,
        Stage::Estimate,
        Stage::Warp,
        Stage::Warp,
        Stage::Exposure,
        Stage::Seams,
        Stage::Blend,
        Stage::Encode,
    ];
    assert_eq!(ran, expected);
    assert_eq!(made.spent.0, [2, 2, 1, 1, 2, 1, 1, 1, 1]);
    assert!(
        made.spent
            .timing(1)
            .starts_with("decode;dur=2, features;dur=2, pairs;dur=1,")
    );
    assert!(made.spent.timing(1).ends_with("encode;dur=1, all;dur=12"));
    drop(file);
    assert_eq!(heap.used(), 0);
    println!("{} KiB at most", heap.peak() / 1024);
}

#[test]
fn what_has_no_panorama_is_one_sentence_and_leaves_nothing() {
    let canyon = make("canyon-2");
    let hubble = make("hubble-2");
    let good: Vec<_> = canyon.views.iter().map(png).collect();
    let other = png(&hubble.views[0]);
    let mut huge = good[0].clone();
    huge[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    for (files, status, words) in [
        (vec![good[0].clone(), other.clone()], 422, "not overlap"),
        (
            vec![good[0].clone(), good[1].clone(), other],
            422,
            "photograph 3 does not overlap",
        ),
        (vec![good[0].clone()], 422, "at least two"),
        (
            vec![good[0].clone(), good[1][..5000].to_vec()],
            422,
            "photograph 2: the PNG file is damaged",
        ),
        (
            vec![b"GIF89a".to_vec(), good[0].clone()],
            415,
            "photograph 1: ",
        ),
        (vec![good[0].clone(), vec![]], 415, "photograph 2: "),
        (vec![huge, good[0].clone()], 413, "photograph 1: "),
    ] {
        let heap = Heap::new(64 << 20);
        let (made, _) = run(&heap, &files);
        let why = made.panorama.err().unwrap();
        assert_eq!(why.status, status, "{}", why.why);
        assert!(why.why.contains(words), "{}", why.why);
        assert_eq!(heap.used(), 0);
    }
}

#[test]
fn a_page_less_than_it_takes_is_said_and_nothing_hangs() {
    let set = make("canyon-2");
    let files: Vec<_> = set.views.iter().map(png).collect();
    let heap = Heap::new(64 << 20);
    assert!(run(&heap, &files).0.panorama.is_ok());
    let enough = Heap::new(heap.peak());
    assert!(run(&enough, &files).0.panorama.is_ok());
    let short = Heap::new(heap.peak() - 4096);
    let why = run(&short, &files).0.panorama.err().unwrap();
    assert_eq!((why.status, short.used()), (507, 0), "{}", why.why);
}

#[test]
fn a_panorama_that_nobody_wants_ends_between_two_stages() {
    let set = make("canyon-2");
    let heap = Heap::new(64 << 20);
    for last in [Stage::Decode, Stage::Pairs, Stage::Blend] {
        let files = set.views.iter().map(|view| heap.keep(&png(view)).unwrap());
        let mut host = Host::new(&heap);
        host.patience = Some(last);
        let made = conduct(files.collect(), &mut host);
        assert_eq!(made.panorama.err().unwrap().status, 503);
        assert_eq!((host.ran.last(), heap.used()), (Some(&last), 0));
    }
}

#[test]
fn parts_that_no_stage_makes_are_refused() {
    let heap = Heap::new(64 << 20);
    let junk = |bytes: usize| Part::records(heap.keep(&vec![0x5a; bytes]).unwrap());
    let image = |bytes: usize, side: u32| Part {
        width: side,
        height: side,
        ..junk(bytes)
    };
    let set: Vec<Vec<Part<Finished>>> = vec![
        vec![],
        vec![junk(0)],
        vec![junk(100)],
        vec![junk(96), junk(96)],
        vec![junk(1000), junk(1000), junk(1000), junk(1000)],
        vec![image(10, 100), image(10, 0)],
        vec![junk(72 + 192), image(30_000, 100)],
        vec![
            image(u16::MAX.into(), u32::MAX),
            image(100, 5),
            image(100, 5),
            image(100, 5),
        ],
    ];
    for stage in Stage::ALL {
        for parts in &set {
            let made = stage.run(&heap, parts);
            assert!(
                made.is_err() || stage == Stage::Pairs && parts.is_empty(),
                "{stage:?}"
            );
        }
    }
    drop(set);
    assert_eq!(heap.used(), 0);
    assert!(heap.room(65 << 20).is_err());
}
