//! Records that no stage wrote: every stage answers, with numbers or with an error.

use cistern_image::record::{bytes, read};
use cistern_image::{Feature, Gray, Match, Matrix3, Pair, Placement, Plan, Size};
use cistern_register::{Error, MAX_FEATURES, MAX_MATCHES, Source, estimate, features, pairs};
use proptest::prelude::*;

fn number() -> impl Strategy<Value = f32> {
    prop_oneof![
        Just(0.0f32),
        Just(-1.0),
        Just(32768.0),
        Just(100.0),
        0.0f32..200.0
    ]
}

fn feature() -> impl Strategy<Value = Feature> {
    let word = prop_oneof![Just(0u64), any::<u64>()];
    (number(), number(), word, 1.0f32..1024.0, any::<f32>()).prop_map(
        |(x, y, word, scale, score)| Feature {
            x,
            y,
            cosine: 1.0,
            sine: 0.0,
            scale,
            score,
            descriptor: [word, 1, 2, word],
        },
    )
}

fn found_match() -> impl Strategy<Value = Match> {
    (number(), number(), number(), number()).prop_map(|(a, b, c, d)| Match {
        first: [a, b],
        second: [c, d],
    })
}

fn pair() -> impl Strategy<Value = Pair> {
    let element = prop_oneof![Just(0.0), Just(1.0), Just(-1e300), -2.0f64..2.0];
    let index = prop_oneof![0u32..5, Just(u32::MAX)];
    let begin = prop_oneof![0u32..40, Just(u32::MAX)];
    (
        proptest::array::uniform9(element),
        index.clone(),
        index,
        begin.clone(),
        begin,
    )
        .prop_map(|(h, first, second, begin, count)| Pair {
            homography: Matrix3(h),
            first,
            second,
            begin,
            count,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn features_of_any_pixels_are_sound(seed in any::<u64>(), width in 1u32..150, height in 1u32..150, levels in 1u64..256) {
        let size = Size::new(width, height).unwrap();
        let mut state = seed | 1;
        let pixels: Vec<u8> = (0..size.pixels()).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % levels) as u8
        }).collect();
        let mut found = vec![Feature::default(); MAX_FEATURES];
        let count = features(&Gray::packed(&pixels[..], size).unwrap(), &mut found).unwrap();
        prop_assert!(read::<Feature>(bytes(&found[..count])).is_ok());
        for f in &found[..count] {
            prop_assert!(f.x >= 0.0 && f.y >= 0.0 && f.x < width as f32 && f.y < height as f32);
        }
    }

    #[test]
    fn any_features_give_sound_pairs(a in proptest::collection::vec(feature(), 0..60), b in proptest::collection::vec(feature(), 0..60), same in any::<bool>()) {
        let size = Size::new(90, 70).unwrap();
        let pixels: Vec<u8> = (0..size.pixels()).map(|i| (i * i / 7 % 251) as u8).collect();
        let image = Gray::packed(&pixels[..], size).unwrap();
        let b = if same { a.clone() } else { b };
        let sources = [Source { image, features: &a }, Source { image, features: &b }];
        let (mut p, mut m) = ([Pair::default(); 1], [Match::default(); MAX_MATCHES]);
        let (pair_count, match_count) = pairs(&sources, &mut p, &mut m).unwrap();
        prop_assert!(read::<Pair>(bytes(&p[..pair_count])).is_ok());
        prop_assert!(read::<Match>(bytes(&m[..match_count])).is_ok());
    }

    #[test]
    fn any_pairs_and_matches_give_a_sound_plan_or_an_error(all in proptest::collection::vec(pair(), 0..5), matches in proptest::collection::vec(found_match(), 0..60), images in 0usize..6) {
        let sizes = vec![Size::new(200, 100).unwrap(); images];
        let mut out = vec![Placement::default(); images];
        if let Ok(plan) = estimate(&sizes, &all, &matches, &mut out) {
            prop_assert!(read::<Plan>(bytes(&[plan])).is_ok(), "{plan:?}");
            prop_assert!(read::<Placement>(bytes(&out)).is_ok(), "{out:?}");
        }
    }

    #[test]
    fn matches_on_a_line_or_a_point_give_a_sound_plan_or_an_error(slope in -3.0f32..3.0, step in prop_oneof![Just(0.0f32), 0.1f32..3.0], shift in 0.0f32..90.0) {
        let sizes = [Size::new(300, 200).unwrap(); 2];
        let matches: Vec<Match> = (0..50).map(|i| {
            let p = [10.0 + step * i as f32, 100.0 + slope * step * i as f32 / 3.0];
            Match { first: p, second: [p[0] + shift, p[1]] }
        }).collect();
        let pair = Pair { homography: Matrix3::translation(shift.into(), 0.0), first: 0, second: 1, begin: 0, count: 50 };
        let mut out = [Placement::default(); 2];
        if let Ok(plan) = estimate(&sizes, &[pair], &matches, &mut out) {
            prop_assert!(read::<Plan>(bytes(&[plan])).is_ok(), "{plan:?}");
            prop_assert!(read::<Placement>(bytes(&out)).is_ok(), "{out:?}");
        }
    }
}

#[test]
fn what_names_nothing_is_refused() {
    let sizes = [Size::new(200, 100).unwrap(); 2];
    let mut out = [Placement::default(); 2];
    let pair = |first, second, count| Pair {
        homography: Matrix3::IDENTITY,
        first,
        second,
        begin: 0,
        count,
    };
    let matches = [Match::default(); 4];
    for wrong in [
        pair(0, 2, 4),
        pair(0, 1, 5),
        pair(1, 1, 4),
        pair(u32::MAX, 0, 1),
    ] {
        let result = estimate(&sizes, &[wrong], &matches, &mut out);
        assert_eq!(result, Err(Error::Unknown));
    }
}

#[test]
fn more_records_than_a_stage_writes_are_refused() {
    let size = Size::new(60, 60).unwrap();
    let pixels = vec![0; size.pixels()];
    let image = Gray::packed(&pixels[..], size).unwrap();
    let many = vec![Feature::default(); MAX_FEATURES + 1];
    let source = Source {
        image,
        features: &many,
    };
    let (mut p, mut m) = ([Pair::default(); 1], [Match::default(); MAX_MATCHES]);
    let (given, most) = (MAX_FEATURES + 1, MAX_FEATURES);
    let result = pairs(&[source; 2], &mut p, &mut m);
    assert_eq!(result, Err(Error::TooManyRecords { given, most }));
    let matches = [Match::default(); MAX_MATCHES + 1];
    let pair = Pair {
        first: 0,
        second: 1,
        count: MAX_MATCHES as u32 + 1,
        ..Pair::default()
    };
    let mut out = [Placement::default(); 2];
    let (given, most) = (MAX_MATCHES + 1, MAX_MATCHES);
    let result = estimate(&[size; 2], &[pair], &matches, &mut out);
    assert_eq!(result, Err(Error::TooManyRecords { given, most }));
    let (given, most) = (2, 1);
    let result = estimate(&[size; 2], &[pair; 2], &matches, &mut out);
    assert_eq!(result, Err(Error::TooManyRecords { given, most }));
}

#[test]
fn too_little_room_and_too_many_images_are_refused() {
    let size = Size::new(60, 60).unwrap();
    let pixels = vec![0; size.pixels()];
    let image = Gray::packed(&pixels[..], size).unwrap();
    let source = Source {
        image,
        features: &[],
    };
    assert!(matches!(features(&image, &mut []), Err(Error::Room { .. })));
    assert!(matches!(
        pairs(&[source; 2], &mut [], &mut []),
        Err(Error::Room { .. })
    ));
    assert_eq!(
        pairs(&[source; 17], &mut [], &mut []),
        Err(Error::TooMany { images: 17 })
    );
    let result = estimate(&[size; 17], &[], &[], &mut []);
    assert_eq!(result, Err(Error::TooMany { images: 17 }));
    let result = estimate(&[size; 2], &[], &[], &mut []);
    assert_eq!(
        result,
        Err(Error::Room {
            needed: 2,
            given: 0
        })
    );
}
