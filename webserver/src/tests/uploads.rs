//! Photographs on their way in, panoramas on their way out.

use super::*;
use crate::fake::{End, Rig};

const HEAD: &str = "POST /stitch HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data\r\n";

fn request(body: &[u8]) -> Vec<u8> {
    let head = std::format!("{HEAD}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn body(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| (n * n / 7) as u8).collect()
}

#[test]
fn a_body_is_handed_on_whole_however_it_is_cut() {
    let body = body(9_000);
    let request = request(&body);
    for step in [1, 7, 100, 1_460, 6_000, 10_000] {
        let mut rig = Rig::new(2);
        rig.accept(0);
        for piece in request.chunks(step) {
            rig.receive(0, piece);
        }
        let job = &rig.world.darkroom.jobs[&1];
        assert_eq!(job.0, b"multipart/form-data");
        assert_eq!((job.1, job.3), (body.len() as u64, true));
        assert!(job.2 == body, "in steps of {step}");
        assert_eq!(rig.world.darkroom.restarts, 1);
        assert!(rig.sent[&0].is_empty());
        // All but what belongs together is acknowledged.
        assert!(rig.took[&0] as usize + 4096 > request.len());
    }
}

#[test]
fn an_answer_of_several_stretches_is_one_body() {
    let mut rig = Rig::new(2);
    rig.accept(0);
    let two = [&request(&body(50))[..], GET].concat();
    rig.receive(0, &two);
    let room = &mut rig.world.darkroom;
    room.answer(1, 200, 2, b"decode;dur=3, all;dur=9", b"one");
    room.answer(1, 200, 1, b"", b"two");
    room.answer(1, 200, 0, b"", b"three");
    rig.pass(20);
    rig.round(Vec::new());
    let answer = text(&rig.sent[&0]);
    assert!(
        answer.contains("\r\nContent-Type: image/png\r\nContent-Length: 11\r\n"),
        "{answer}"
    );
    assert!(answer.contains("\r\nServer-Timing: decode;dur=3, all;dur=9\r\n"));
    assert!(answer.contains("\r\n\r\nonetwothreeHTTP/1.1 200 OK\r\n"));
    rig.finish(0);
    assert_eq!(statuses(&rig.sent[&0], &[]), [200, 200]);
    assert_eq!(rig.ends[&0], End::Open);
    // Nobody asks any more.
    let asked = rig.world.darkroom.asked;
    rig.pass(1_000);
    rig.receive(0, GET);
    assert_eq!(rig.world.darkroom.asked, asked);
}

#[test]
fn whoever_waits_is_not_late_and_whoever_uploads_slowly_is() {
    let mut rig = Rig::new(4);
    rig.accept(0);
    rig.receive(0, &request(&body(50)));
    for _ in 0..600 {
        rig.pass(1_000);
        rig.round(Vec::new());
    }
    assert_eq!(rig.ends[&0], End::Open);
    rig.world
        .darkroom
        .answer(1, 422, 0, b"", b"they do not overlap");
    rig.pass(10);
    rig.round(Vec::new());
    assert_eq!(statuses(&rig.sent[&0], &[]), [422]);

    let whole = request(&body(1_000_000));
    rig.accept(1);
    rig.accept(2);
    rig.receive(1, &whole[..200]);
    rig.receive(2, &whole[..200]);
    for n in 0..60 {
        rig.pass(1_000);
        let next = 200 + n * 8_000;
        rig.receive(1, &whole[next..next + 8_000]);
        if rig.ends[&2] == End::Open {
            rig.receive(2, &whole[next..next + 100]);
        }
    }
    assert_eq!(rig.ends[&1], End::Open);
    assert_ne!(rig.ends[&2], End::Open);
    assert_eq!(statuses(&rig.sent[&2], &[]), [408]);
    assert_eq!(rig.world.darkroom.forgotten, [3]);
}

#[test]
fn a_refusal_ends_an_upload_where_it_is() {
    let mut rig = Rig::new(2);
    rig.accept(0);
    let whole = request(&body(100_000));
    rig.receive(0, &whole[..5_000]);
    rig.world.darkroom.answer(1, 413, 0, b"", b"too long");
    rig.receive(0, &whole[5_000..10_000]);
    assert_eq!(statuses(&rig.sent[&0], &[]), [413]);
    assert!(text(&rig.sent[&0]).contains("Connection: close\r\n"));
    assert_eq!(rig.ends[&0], End::Closed);
    // What still comes is acknowledged, so that the client comes to its end and reads the answer.
    let before = rig.took[&0];
    rig.receive(0, &whole[10_000..20_000]);
    assert_eq!(rig.took[&0], before + 10_000);
    assert!(rig.world.darkroom.jobs[&1].2.len() < 11_000);
}

#[test]
fn uploads_of_those_who_left_are_forgotten() {
    let mut rig = Rig::new(4);
    for socket in 0..3 {
        rig.accept(socket);
    }
    rig.receive(0, &request(&body(50)));
    rig.receive(1, &request(&body(50))[..120]);
    rig.round(std::vec![
        crate::platform::Event::Gone { socket: 0 },
        crate::platform::Event::Gone { socket: 1 },
    ]);
    rig.pass(20);
    rig.round(Vec::new());
    assert_eq!(rig.world.darkroom.forgotten, [1, 2]);
    // An answer that comes all the same is nobody's.
    rig.receive(2, &request(&body(50)));
    rig.world.darkroom.answer(1, 200, 0, b"", b"late");
    rig.pass(20);
    rig.round(Vec::new());
    assert!(rig.sent[&2].is_empty());
    rig.world.darkroom.answer(3, 200, 0, b"", b"in time");
    rig.pass(20);
    rig.round(Vec::new());
    assert_eq!(statuses(&rig.sent[&2], &[]), [200]);
}

#[test]
fn what_is_no_upload_is_refused() {
    for (status, head) in [
        (411, std::format!("{HEAD}\r\n")),
        (411, std::format!("{HEAD}Content-Length: 0\r\n\r\n")),
        (
            411,
            std::format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            403,
            std::format!("{HEAD}Origin: http://evil.example\r\nContent-Length: 1\r\n\r\nx"),
        ),
        (
            403,
            std::format!("{HEAD}Sec-Fetch-Site: cross-site\r\nContent-Length: 1\r\n\r\nx"),
        ),
        (
            405,
            HEAD.replace("POST", "PUT") + "Content-Length: 1\r\n\r\nx",
        ),
    ] {
        let mut rig = Rig::new(2);
        assert_eq!(
            statuses(&rig.talk(0, head.as_bytes()), &[]),
            [status],
            "{head}"
        );
        assert!(rig.world.darkroom.jobs.is_empty());
    }
    let mut rig = Rig::new(2);
    rig.world.darkroom_dead = true;
    assert_eq!(statuses(&rig.talk(0, &request(&body(9))), &[]), [502]);
}

#[test]
fn a_darkroom_that_died_has_lost_its_jobs_and_takes_new_ones() {
    let mut rig = Rig::new(4);
    rig.accept(0);
    rig.receive(0, &request(&body(50)));
    rig.world.darkroom_dead = true;
    rig.pass(20);
    rig.round(Vec::new());
    assert_eq!(statuses(&rig.sent[&0], &[]), [502]);
    // It is told once that others are its jobs now, when there are any.
    rig.world.darkroom_dead = false;
    let restarts = rig.world.darkroom.restarts;
    rig.pass(1_000);
    assert_eq!(rig.world.darkroom.restarts, restarts);
    for socket in [1, 2] {
        rig.accept(socket);
        rig.receive(socket, &request(&body(50)));
        assert_eq!(rig.world.darkroom.restarts, restarts + 1);
    }
    rig.world.darkroom.answer(2, 200, 0, b"", b"in time");
    rig.pass(20);
    rig.round(Vec::new());
    assert_eq!(statuses(&rig.sent[&1], &[]), [200]);
}

#[test]
fn answers_that_a_darkroom_has_no_business_giving_do_no_harm() {
    let mut rig = Rig::new(4);
    for socket in 0..4 {
        rig.accept(socket);
        rig.receive(socket, &request(&body(5)));
    }
    let room = &mut rig.world.darkroom;
    room.answer(1, 200, 0, b"a;dur=1\r\nSet-Cookie: x", b"fields");
    for more in (1..100).rev() {
        room.answer(2, 200, more, b"", b"x");
    }
    room.answer(3, 299, 0, b"", b"status");
    // Job 4 never gets its last stretch.
    room.answer(4, 200, 1, b"", b"broken off");
    room.answer(99, 200, 0, b"", b"whose");
    rig.pass(20);
    rig.round(Vec::new());
    assert!(!text(&rig.sent[&0]).contains("Set-Cookie"));
    for (socket, status) in [(0, 200), (1, 502), (2, 502)] {
        assert_eq!(statuses(&rig.sent[&socket], &[]), [status]);
    }
    assert!(rig.sent[&3].is_empty());
}

#[test]
fn without_memory_an_upload_of_held_bytes_is_refused() {
    // The end of the head comes with the beginning of the body, after bytes that were held.
    let whole = request(&body(5_000));
    for (pages, forgotten) in [(0, &[][..]), (1, &[1][..]), (2, &[1][..])] {
        let mut rig = Rig::new(2);
        rig.accept(0);
        rig.receive(0, &whole[..40]);
        rig.world.pages_left = Some(pages);
        rig.receive(0, &whole[40..]);
        rig.world.pages_left = None;
        rig.round(Vec::new());
        assert_eq!(statuses(&rig.sent[&0], &[]), [503], "{pages} pages");
        assert_eq!(rig.world.darkroom.forgotten, forgotten);
    }
}
