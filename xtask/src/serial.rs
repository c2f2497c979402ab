//! What the machine prints, as lines, while it runs.

use std::io::Read;
use std::process::{ChildStderr, ChildStdout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Longest line that is kept in one piece: a machine that prints no line end fills no memory.
const LINE_BYTES: usize = 4096;

/// The serial console of a running machine, and what QEMU itself complains of.
pub struct Console {
    lines: Receiver<String>,
    complaints: Receiver<String>,
    /// All lines so far.
    pub seen: Vec<String>,
}

impl Console {
    pub fn read(out: Option<ChildStdout>, err: Option<ChildStderr>) -> Self {
        let (line, lines) = channel();
        let (complaint, complaints) = channel();
        if let Some(out) = out {
            std::thread::spawn(move || pump(out, &line));
        }
        if let Some(err) = err {
            std::thread::spawn(move || pump(err, &complaint));
        }
        Self {
            lines,
            complaints,
            seen: Vec::new(),
        }
    }

    /// The next line, or `None` after `limit` or at the end.
    pub fn next(&mut self, limit: Duration) -> Option<String> {
        let line = self.lines.recv_timeout(limit).ok()?;
        self.seen.push(line.clone());
        Some(line)
    }

    /// Takes what is left of a machine that has ended.
    pub fn drain(&mut self) {
        while self.next(Duration::from_secs(1)).is_some() {}
    }

    /// What QEMU said of its own, as one text.
    pub fn complaints(&self) -> String {
        let lines: Vec<String> = self.complaints.try_iter().collect();
        lines.join("; ")
    }

    /// The last lines, for an error message.
    pub fn tail(&self, lines: usize) -> String {
        let from = self.seen.len().saturating_sub(lines);
        let shown: Vec<String> = self.seen[from..]
            .iter()
            .map(|l| format!("    {l}"))
            .collect();
        if shown.is_empty() {
            "    (it printed nothing)".into()
        } else {
            shown.join("\n")
        }
    }
}

/// Cuts bytes into lines until the other end closes.
fn pump(mut from: impl Read, to: &Sender<String>) {
    let mut line = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        for byte in &buffer[..count] {
            match byte {
                b'\n' => send(&mut line, to),
                b'\r' => {}
                byte => line.push(*byte),
            }
            if line.len() >= LINE_BYTES {
                send(&mut line, to);
            }
        }
    }
    if !line.is_empty() {
        send(&mut line, to);
    }
}

fn send(line: &mut Vec<u8>, to: &Sender<String>) {
    // Nobody listens any more once the machine was dropped.
    let _ = to.send(String::from_utf8_lossy(line).into_owned());
    line.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_lines() {
        let (to, lines) = channel();
        pump(&b"one\r\ntwo\n\nend"[..], &to);
        drop(to);
        assert_eq!(lines.iter().collect::<Vec<_>>(), ["one", "two", "", "end"]);
    }

    #[test]
    fn endless_lines_are_cut() {
        let (to, lines) = channel();
        pump(vec![b'x'; LINE_BYTES + 5].as_slice(), &to);
        drop(to);
        assert_eq!(
            lines.iter().map(|l| l.len()).collect::<Vec<_>>(),
            [LINE_BYTES, 5]
        );
    }
}
