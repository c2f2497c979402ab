//! A headless Chromium, driven by its DevTools protocol: JSON messages, each with a zero byte
//! behind it, through two pipes. No socket, no port, and it ends with its pipes.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for an answer of the browser; loaded machines start it slowly.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a page that is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// Names that distributions give it.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// A browser with one page; ended when dropped.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    /// Of the page, once there is one.
    session: Option<String>,
    last: u64,
    profile: PathBuf,
    /// Errors that the page's console showed.
    pub errors: Vec<String>,
}

/// The program, if this machine has one.
pub fn program() -> Option<&'static str> {
    NAMES.into_iter().find(|name| crate::install::on_path(name))
}

impl Browser {
    /// `folder` holds its profile while it runs.
    pub fn start(program: &str, folder: &Path) -> Result<Self, String> {
        let profile = folder.join(format!("browser-{}", std::process::id()));
        std::fs::create_dir_all(&profile)
            .map_err(|e| format!("{} cannot be made: {e}", profile.display()))?;
        // The protocol wants the descriptors 3 and 4, which a shell can give it.
        let script = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>&2"#;
        let mut command = Command::new("sh");
        command.args(["-c", script, program]);
        command.args([
            "--headless=new",
            // Containers let it have no sandbox of its own; it sees our page alone.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--disable-background-networking",
            "--no-first-run",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display()));
        let spawned = command
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = spawned.map_err(|e| format!("{program} did not start: {e}"))?;
        let (Some(to), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(format!("{program} has no pipes"));
        };
        let (message, from) = channel();
        std::thread::spawn(move || {
            for bytes in BufReader::new(out).split(0).map_while(Result::ok) {
                let parsed = serde_json::from_slice(&bytes);
                if parsed.is_ok_and(|value| message.send(value).is_err()) {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            to,
            from,
            session: None,
            last: 0,
            profile,
            errors: Vec::new(),
        };
        browser.attach()?;
        Ok(browser)
    }

    fn attach(&mut self) -> Result<(), String> {
        let page = self.call("Target.createTarget", &json!({"url": "about:blank"}))?;
        let attached = self.call(
            "Target.attachToTarget",
            &json!({"targetId": page["targetId"], "flatten": true}),
        )?;
        self.session = attached["sessionId"].as_str().map(String::from);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), &json!({}))?;
        }
        Ok(())
    }

    /// One command of the protocol, and its result.
    pub fn call(&mut self, method: &str, parameters: &Value) -> Result<Value, String> {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let sent = self.to.write_all(format!("{message}\0").as_bytes());
        sent.and_then(|()| self.to.flush())
            .map_err(|e| format!("the browser is gone: {e}"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answer = self.from.recv_timeout(left);
            let answer = answer.map_err(|_| format!("the browser does not answer {method}"))?;
            if answer["id"] != self.last {
                self.note(&answer);
            } else if answer["error"].is_null() {
                return Ok(answer["result"].clone());
            } else {
                return Err(format!("{method}: {}", answer["error"]["message"]));
            }
        }
    }

    /// Keeps what the page complains of.
    fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        let entry = &parameters["entry"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                let details = &parameters["exceptionDetails"];
                self.errors
                    .push(details["exception"]["description"].to_string());
            }
            Some("Log.entryAdded") if entry["level"] == "error" => {
                self.errors
                    .push(format!("{} {}", entry["text"], entry["url"]));
            }
            _ => {}
        }
    }

    /// Opens an address in its normal form, and waits until all of the page is there.
    pub fn open(&mut self, address: &str) -> Result<(), String> {
        let answer = self.call("Page.navigate", &json!({"url": address}))?;
        if let Some(why) = answer["errorText"].as_str() {
            return Err(format!("{address}: {why}"));
        }
        let there = format!(
            "document.readyState === 'complete' && location.href === {}",
            json!(address)
        );
        self.until(&there, PATIENCE, "document.readyState")
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Result<Value, String> {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &asked)?;
        let thrown = &answer["exceptionDetails"];
        if thrown.is_null() {
            return Ok(answer["result"]["value"].clone());
        }
        let why = &thrown["exception"]["description"];
        Err(format!("{expression}: {why}"))
    }

    /// Waits until an expression is true; the error has the value of `instead`.
    pub fn until(
        &mut self,
        expression: &str,
        limit: Duration,
        instead: &str,
    ) -> Result<(), String> {
        let deadline = Instant::now() + limit;
        while self.value(expression)? != true {
            crate::interrupt::check()?;
            if Instant::now() > deadline {
                let seen = self.value(instead)?;
                return Err(format!("{expression} does not come true: {seen}"));
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Clicks the middle of the first element that a selector finds, as a mouse would.
    pub fn click(&mut self, selector: &str) -> Result<(), String> {
        let place = self.value(&format!(
            "(() => {{ const e = document.querySelector({}); e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); \
             return {{x: r.x + r.width / 2, y: r.y + r.height / 2}}; }})()",
            json!(selector)
        ))?;
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let (x, y) = (&place["x"], &place["y"]);
            let mouse = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", &mouse)?;
        }
        Ok(())
    }

    /// Puts text in place of what an input has, as the keyboard would.
    pub fn fill(&mut self, selector: &str, text: &str) -> Result<(), String> {
        self.click(selector)?;
        self.value(&format!(
            "document.querySelector({}).select()",
            json!(selector)
        ))?;
        if text.is_empty() {
            return self.press("Delete", 46);
        }
        self.call("Input.insertText", &json!({"text": text}))
            .map(drop)
    }

    /// Chooses files in an input for files, as its dialog would.
    pub fn choose(&mut self, selector: &str, files: &[PathBuf]) -> Result<(), String> {
        let root = self.call("DOM.getDocument", &json!({}))?;
        let asked = json!({"nodeId": root["root"]["nodeId"], "selector": selector});
        let node = self.call("DOM.querySelector", &asked)?;
        let chosen = json!({"nodeId": node["nodeId"], "files": files});
        self.call("DOM.setFileInputFiles", &chosen).map(drop)
    }

    /// Presses a key by its name and its old number.
    pub fn press(&mut self, key: &str, number: u32) -> Result<(), String> {
        for kind in ["rawKeyDown", "keyUp"] {
            let event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": number,
            });
            self.call("Input.dispatchKeyEvent", &event)?;
        }
        Ok(())
    }

    /// A window of so many pixels, light or dark.
    pub fn looks(&mut self, width: u32, dark: bool) -> Result<(), String> {
        let size = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500,
        });
        self.call("Emulation.setDeviceMetricsOverride", &size)?;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.call("Emulation.setEmulatedMedia", &media).map(drop)
    }

    /// Takes its network away, or gives it back.
    pub fn offline(&mut self, offline: bool) -> Result<(), String> {
        let network = json!({
            "offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.call("Network.emulateNetworkConditions", &network)
            .map(drop)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        // It ends its own helpers when it is asked to end; if it is gone, there is nothing to end.
        let _ = self.call("Browser.close", &json!({}));
        let deadline = Instant::now() + Duration::from_secs(3);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
