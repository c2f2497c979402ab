//! The web server's corners from outside: framing, pipelines, conditions, clients that are slow
//! or too many.

use super::web::{Test, expect, has};
use crate::http::{Connection, ask, get};
use std::time::{Duration, Instant};

pub const TESTS: [(&str, Test); 8] = [
    ("refusals close where framing is in doubt", refusals_close),
    ("bodies are read past", bodies_are_read_past),
    ("Expect: 100-continue", expectations),
    ("304 by tag and by date", conditions),
    ("a hundred pipelined requests", a_hundred_pipelined),
    ("half-closed connections are answered", half_closed),
    ("slow readers get every byte", slow_readers),
    ("more busy clients than places take turns", busy_take_turns),
];

/// What is wrong, the status it gets, and whether the connection closes.
fn refusals_close(port: u16) -> Result<(), String> {
    let host = "GET / HTTP/1.1\r\nHost: t\r\n";
    let cases = [
        (400, true, "GET / HTTP/1.1\nHost: t\n\n".to_string()),
        (400, true, "GET / HTTP/1.1\rHost: t\r\n\r\n".into()),
        (400, true, "GET  / HTTP/1.1\r\nHost: t\r\n\r\n".into()),
        (400, true, "GET /\x7f HTTP/1.1\r\nHost: t\r\n\r\n".into()),
        (400, true, format!("{host}hOST: u\r\n\r\n")),
        (400, true, format!("{host}X\t: y\r\n\r\n")),
        (400, true, format!("{host}Content-Length: 1, 1\r\n\r\n")),
        (
            400,
            true,
            format!("{host}Transfer-Encoding: identity\r\n\r\n"),
        ),
        (
            400,
            true,
            format!("{host}Transfer-Encoding: chunked\r\n\r\nx\r\n"),
        ),
        (
            400,
            true,
            "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        ),
        (400, true, "GET /a#b HTTP/1.1\r\nHost: t\r\n\r\n".into()),
        (413, true, format!("{host}Content-Length: 65537\r\n\r\n")),
        (431, true, format!("{host}{}\r\n", "A: b\r\n".repeat(64))),
        (
            501,
            true,
            format!("{host}Transfer-Encoding: gzip, chunked\r\n\r\n"),
        ),
        (505, true, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into()),
        (
            400,
            false,
            "GET /%2e%2e/x HTTP/1.1\r\nHost: t\r\n\r\n".into(),
        ),
        (405, false, "DELETE / HTTP/1.1\r\nHost: t\r\n\r\n".into()),
        (501, false, "get / HTTP/1.1\r\nHost: t\r\n\r\n".into()),
        (417, false, format!("{host}Expect: tea\r\n\r\n")),
    ];
    for (status, closes, request) in cases {
        let check = || {
            let mut connection = Connection::open(port)?;
            connection.send(request.as_bytes())?;
            let answer = connection.receive(false)?;
            expect(&answer, status)?;
            if status == 405 && has(&answer, "Allow")? != "GET, HEAD" {
                return Err("Allow is wrong".into());
            }
            if closes {
                return connection.closed();
            }
            connection.send(b"GET /f1.txt HTTP/1.1\r\nHost: t\r\n\r\n")?;
            expect(&connection.receive(false)?, 200)
        };
        check().map_err(|why| format!("{request:?}: {why}"))?;
    }
    Ok(())
}

fn bodies_are_read_past(port: u16) -> Result<(), String> {
    let mut connection = Connection::open(port)?;
    for body in [
        "Content-Length: 6\r\n\r\nGET / ",
        "Transfer-Encoding: chunked\r\n\r\n6;a=b\r\nGET / \r\n0\r\nX: y\r\n\r\n",
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\n\r\n",
    ] {
        for (method, status) in [("GET", 200), ("POST", 405)] {
            let request = format!("{method} /f128.txt HTTP/1.1\r\nHost: t\r\n{body}");
            connection.send(request.as_bytes())?;
            let answer = connection.receive(false);
            answer
                .and_then(|answer| expect(&answer, status))
                .map_err(|why| format!("{request:?}: {why}"))?;
        }
    }
    Ok(())
}

fn expectations(port: u16) -> Result<(), String> {
    let fields = "Host: t\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let mut connection = Connection::open(port)?;
    connection.send(format!("GET / HTTP/1.1\r\n{fields}").as_bytes())?;
    expect(&connection.receive(true)?, 100)?;
    connection.send(b"abc")?;
    expect(&connection.receive(false)?, 200)?;
    connection.send(format!("POST / HTTP/1.1\r\n{fields}").as_bytes())?;
    expect(&connection.receive(false)?, 405)?;
    connection.closed()
}

fn conditions(port: u16) -> Result<(), String> {
    let first = get(port, "/f1024.txt")?;
    let (tag, date) = (has(&first, "ETag")?, has(&first, "Last-Modified")?);
    for (status, condition) in [
        (304, format!("If-None-Match: \"x\", W/{tag}")),
        (304, "If-None-Match: *".into()),
        (304, format!("If-Modified-Since: {date}")),
        (200, "If-None-Match: \"x\"".into()),
        (
            200,
            "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT".into(),
        ),
        (200, "If-Modified-Since: tomorrow".into()),
        (
            200,
            format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}"),
        ),
    ] {
        let request = format!("GET /f1024.txt HTTP/1.1\r\nHost: t\r\n{condition}\r\n\r\n");
        let answer = ask(port, request.as_bytes())?;
        expect(&answer, status).map_err(|why| format!("{condition}: {why}"))?;
    }
    Ok(())
}

/// Every kind of request, all sent before an answer is read.
fn a_hundred_pipelined(port: u16) -> Result<(), String> {
    let kinds = [
        ("GET /f4096.txt", "", 200, 4096),
        ("GET /cgi?bytes=77", "", 200, 77),
        ("HEAD /f65536.txt", "", 200, 0),
        ("GET /f1.txt", "If-None-Match: *\r\n", 304, 0),
        ("GET /f128.txt", "Content-Length: 0\r\n", 200, 128),
    ];
    let each = || kinds.iter().cycle().take(100);
    let all: String = each()
        .map(|(line, field, ..)| format!("{line} HTTP/1.1\r\nHost: t\r\n{field}\r\n"))
        .collect();
    let mut connection = Connection::open(port)?;
    connection.send(all.as_bytes())?;
    for (at, (line, _, status, bytes)) in each().enumerate() {
        let answer = connection.receive(line.starts_with("HEAD"))?;
        expect(&answer, *status).map_err(|why| format!("{at}, {line}: {why}"))?;
        if answer.body.len() != *bytes {
            return Err(format!("{at}, {line}: {} bytes", answer.body.len()));
        }
    }
    Ok(())
}

fn half_closed(port: u16) -> Result<(), String> {
    let mut connection = Connection::open(port)?;
    let request = "GET /cgi?bytes=3000 HTTP/1.1\r\nHost: t\r\n\r\n".repeat(20);
    connection.send(request.as_bytes())?;
    connection.finish()?;
    for _ in 0..20 {
        expect(&connection.receive(false)?, 200)?;
    }
    connection.closed()
}

fn slow_readers(port: u16) -> Result<(), String> {
    const BYTES: usize = 1 << 20;
    let mut all = Vec::new();
    for path in ["/f1048576.txt", "/cgi?bytes=1048576"].repeat(6) {
        let mut connection = Connection::open(port)?;
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes())?;
        all.push((path, connection));
    }
    std::thread::sleep(Duration::from_secs(1));
    expect(&get(port, "/cgi?bytes=1024")?, 200)?;
    for (path, connection) in &mut all {
        let answer = connection.receive(false)?;
        expect(&answer, 200).map_err(|why| format!("{path}: {why}"))?;
        if answer.body.len() != BYTES {
            return Err(format!("{path}: {} bytes", answer.body.len()));
        }
    }
    Ok(())
}

/// Half as many again as there are places, each asking again as soon as it is answered.
fn busy_take_turns(port: u16) -> Result<(), String> {
    const CLIENTS: usize = 96;
    const TIME: Duration = Duration::from_secs(4);
    let end = Instant::now() + TIME;
    let client = move || {
        let mut served = 0;
        while Instant::now() < end {
            let mut connection = Connection::open(port)?;
            let mut stays = true;
            while stays && Instant::now() < end {
                connection.send(b"GET /f128.txt HTTP/1.1\r\nHost: t\r\n\r\n")?;
                let answer = connection.receive(false)?;
                expect(&answer, 200)?;
                served += 1;
                stays = answer.field("Connection") != Some("close");
            }
        }
        Ok::<u32, String>(served)
    };
    let threads: Vec<_> = (0..CLIENTS).map(|_| std::thread::spawn(client)).collect();
    let mut served = Vec::new();
    for thread in threads {
        let one = thread.join().map_err(|_| "a client panicked".to_string())?;
        served.push(one?);
    }
    served.sort_unstable();
    let (least, middle) = (served[0], served[CLIENTS / 2]);
    if least * 4 < middle {
        return Err(format!(
            "unfair: one was served {least} times, half {middle}"
        ));
    }
    Ok(())
}
