//! Reports, choices and the histogram of durations.

use super::*;
use crate::fake::Rig;
use crate::platform::Event;

const CHOICE: &str = "POST /api/policy HTTP/1.1\r\nHost: a\r\nX-Cistern-Request: policy\r\n";

fn body_of(answer: &[u8]) -> String {
    let answer = text(answer);
    let end = answer.find("\r\n\r\n").unwrap() + 4;
    answer[end..].into()
}

#[test]
fn a_report_has_the_servers_own_figures() {
    let mut rig = Rig::new(4);
    rig.talk(1, GET);
    let answer = rig.talk(2, b"GET /api/stats HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(statuses(&answer, &[]), [200]);
    assert!(text(&answer).contains("Cache-Control: no-store\r\n"));
    // Two requests, one 2xx until now, and one duration: a tick from parsing to answering.
    let body = body_of(&answer);
    assert!(body.starts_with("Json [(0, 2), (1, 0), (2, 1),"), "{body}");
    assert!(body.contains("(16, 1000), (64, 1), (65, 0)"), "{body}");
    let metrics = rig.talk(3, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(body_of(&metrics).starts_with("Prometheus [(0, 3), (1, 0), (2, 2),"));
    rig.world.observer_dead = true;
    let dead = rig.talk(0, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(statuses(&dead, &[]), [502]);
}

#[test]
fn a_round_asks_once_for_each_format() {
    let mut rig = Rig::new(8);
    for socket in 0..6 {
        rig.accept(socket);
    }
    let events = (0..6).map(|socket| {
        let path = if socket % 2 == 0 {
            "/metrics"
        } else {
            "/api/stats"
        };
        let request = std::format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let data = crate::fake::Bytes::new(request.as_bytes());
        Event::Received { socket, data }
    });
    rig.round(events.collect());
    for socket in 0..6 {
        assert_eq!(statuses(&rig.sent[&socket], &[]), [200]);
    }
    assert_eq!(rig.world.reports, 2);
}

#[test]
fn a_choice_arrives_whole_however_it_is_cut() {
    let request = std::format!("{CHOICE}Content-Length: 14\r\n\r\npolicy=limited");
    for step in 1..request.len() {
        let mut rig = Rig::new(2);
        rig.accept(0);
        for piece in request.as_bytes().chunks(step) {
            rig.receive(0, piece);
        }
        let answer = &rig.sent[&0];
        assert_eq!(statuses(answer, &[]), [200]);
        assert_eq!(body_of(answer), "heard: policy=limited");
    }
}

#[test]
fn what_follows_a_choice_is_a_request_of_its_own() {
    let mut rig = Rig::new(2);
    let two =
        std::format!("{CHOICE}Content-Length: 4\r\n\r\nabcdGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let answers = rig.talk(0, two.as_bytes());
    assert_eq!(statuses(&answers, &[]), [400, 200]);
    assert!(text(&answers).contains("\r\n\r\nheard: abcdHTTP/1.1 200"));
}

#[test]
fn only_a_choice_may_be_posted_and_only_by_ones_own_pages() {
    let length = "Content-Length: 2\r\n\r\nxx";
    for (status, head) in [
        (400, CHOICE.into()),
        (403, CHOICE.replace("X-Cistern-Request: policy\r\n", "")),
        (403, CHOICE.replace("Host: a", "Host: a.example")),
        (403, std::format!("{CHOICE}Origin: http://b\r\n")),
        (400, std::format!("{CHOICE}Origin: http://a\r\n")),
        (403, std::format!("{CHOICE}Sec-Fetch-Site: cross-site\r\n")),
        (405, CHOICE.replace("/api/policy", "/")),
        (405, CHOICE.replace("/api/policy", "/api/stats")),
        (405, CHOICE.replace("POST", "PUT")),
        (405, CHOICE.replace("POST", "GET")),
    ] {
        let mut rig = Rig::new(2);
        let answer = rig.talk(0, std::format!("{head}{length}").as_bytes());
        assert_eq!(statuses(&answer, &[]), [status], "{head}");
        let allow = match (status, head.contains("/api/policy")) {
            (405, true) => Some("Allow: POST\r\n"),
            (405, false) => Some("Allow: GET, HEAD\r\n"),
            _ => None,
        };
        assert!(
            allow.is_none_or(|allow| text(&answer).contains(allow)),
            "{head}"
        );
        // What is refused is not heard.
        assert_eq!(body_of(&answer).contains("heard"), status == 400, "{head}");
    }
    let mut rig = Rig::new(4);
    for (socket, framing, status) in [
        (0, "Content-Length: 1025\r\n\r\n".into(), 413),
        (1, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(), 411),
        (2, String::from("\r\n"), 400),
    ] {
        let body = if status == 413 {
            "x".repeat(1025)
        } else {
            String::new()
        };
        let answer = rig.talk(socket, std::format!("{CHOICE}{framing}{body}").as_bytes());
        assert_eq!(statuses(&answer, &[]), [status]);
    }
}
