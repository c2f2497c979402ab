//! A small HTTP client that shows exactly what came back.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Emulated and with other work beside, an answer takes its time.
const LIMIT: Duration = Duration::from_secs(20);
const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// Larger than anything the server holds.
const LARGEST: u64 = 8 << 20;

pub struct Answer {
    pub status: u16,
    /// Status line and fields, as they came.
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a field, whatever the case of its name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A connection to the server.
pub struct Connection {
    stream: TcpStream,
    /// What has arrived and was not taken yet.
    rest: Vec<u8>,
}

impl Connection {
    pub fn open(port: u16) -> Result<Self, String> {
        Self::open_within(port, LIMIT)
    }

    /// `limit` is for each single wait.
    pub fn open_within(port: u16, limit: Duration) -> Result<Self, String> {
        Self::to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), limit)
    }

    /// `limit` is for each single wait.
    pub fn to(address: SocketAddr, limit: Duration) -> Result<Self, String> {
        let stream =
            TcpStream::connect_timeout(&address, limit).map_err(|e| format!("connecting: {e}"))?;
        let set = stream
            .set_read_timeout(Some(limit))
            .and_then(|()| stream.set_write_timeout(Some(limit)));
        set.and_then(|()| stream.set_nodelay(true))
            .map_err(|e| e.to_string())?;
        Ok(Self {
            stream,
            rest: Vec::new(),
        })
    }

    pub fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream
            .write_all(bytes)
            .map_err(|e| format!("sending: {e}"))
    }

    /// Sends no more.
    pub fn finish(&mut self) -> Result<(), String> {
        let done = self.stream.shutdown(std::net::Shutdown::Write);
        done.map_err(|e| format!("closing one half: {e}"))
    }

    /// Takes one answer; `head_only` for an answer to HEAD.
    pub fn receive(&mut self, head_only: bool) -> Result<Answer, String> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            self.more("a head")?;
        };
        let after = self.rest.split_off(end);
        let head = String::from_utf8_lossy(&std::mem::replace(&mut self.rest, after)).into_owned();
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.ok_or_else(|| format!("no status line: {head:?}"))?;
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
        };
        if head_only || status == 304 {
            return Ok(answer);
        }
        let length: Option<usize> = answer.field("content-length").and_then(|l| l.parse().ok());
        match length {
            Some(length) => {
                while self.rest.len() < length {
                    self.more("a body")?;
                }
                let after = self.rest.split_off(length);
                answer.body = std::mem::replace(&mut self.rest, after);
            }
            None => answer.body = self.read_to_end()?,
        }
        Ok(answer)
    }

    fn more(&mut self, what: &str) -> Result<(), String> {
        let mut buffer = [0; 16384];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(format!(
                "closed within {what} after {} bytes",
                self.rest.len()
            )),
            Ok(count) => {
                self.rest.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(e) => Err(format!("waiting for {what}: {e}")),
        }
    }

    /// Whether anything has come by now.
    pub fn has_come(&mut self) -> Result<bool, String> {
        let mut byte = [0];
        let look = |stream: &TcpStream, byte: &mut [u8]| {
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(byte);
            stream.set_nonblocking(false)?;
            match peeked {
                Ok(_) => Ok(true),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
                Err(e) => Err(e),
            }
        };
        look(&self.stream, &mut byte).map_err(|e| format!("looking: {e}"))
    }

    /// Everything until the server closes.
    pub fn read_to_end(&mut self) -> Result<Vec<u8>, String> {
        let mut bytes = std::mem::take(&mut self.rest);
        let read = (&mut self.stream).take(LARGEST).read_to_end(&mut bytes);
        read.map_err(|e| format!("waiting for the end: {e}"))?;
        Ok(bytes)
    }

    /// An error unless the server closes now, with nothing more said.
    pub fn closed(&mut self) -> Result<(), String> {
        let rest = self.read_to_end()?;
        if rest.is_empty() {
            Ok(())
        } else {
            Err(format!("{} bytes came after the answer", rest.len()))
        }
    }
}

/// One request on a connection of its own.
pub fn ask(port: u16, request: &[u8]) -> Result<Answer, String> {
    let mut connection = Connection::open(port)?;
    connection.send(request)?;
    connection.receive(request.starts_with(b"HEAD "))
}

pub fn get(port: u16, path: &str) -> Result<Answer, String> {
    ask(
        port,
        format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").as_bytes(),
    )
}

/// Whether a web server answers there, soon.
pub fn answers(port: u16) -> bool {
    let soon = || {
        let mut connection = Connection::open_within(port, PROBE_LIMIT)?;
        connection.send(b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")?;
        connection.receive(false)
    };
    soon().is_ok_and(|answer| answer.status == 200)
}
