//! A headless Chromium, driven by its own protocol (DevTools) over a WebSocket.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testbed::process::{Launch, Process};
use testbed::rundir::RunDir;
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::harness::until;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// What a page did that it should not have, or anything else that it reports.
pub(crate) struct Event {
    pub(crate) method: String,
    pub(crate) what: Value,
}

/// An open page. Dropped, the browser ends with it.
pub(crate) struct Browser {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: Option<String>,
    calls: u64,
    events: Vec<Event>,
    _process: Process,
    _directory: RunDir,
}

/// Returns the browser's program: `CHROMIUM`, or one in `PATH`. Without one, a test is skipped with a
/// message, except in CI, where it fails.
pub(crate) fn program() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).flat_map(|folder| NAMES.map(|name| folder.join(name)));
    let program = named.or_else(|| found.find(|program| program.is_file()));
    if program.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI needs a Chromium: apt-get install chromium");
        eprintln!("SKIPPED: there is no Chromium (apt-get install chromium, or set CHROMIUM)");
    }
    program
}

impl Browser {
    /// Opens `page` in a window of 1400 by 900 and waits until `ready`, in JavaScript, is true.
    pub(crate) async fn open(program: &Path, page: &Path, ready: &str) -> Self {
        Self::open_url(program, &format!("file://{}", page.display()), ready).await
    }

    /// As [`Browser::open`], a page that is served.
    pub(crate) async fn open_url(program: &Path, url: &str, ready: &str) -> Self {
        let directory = RunDir::create().expect("a run directory");
        let profile = directory.path().join("profile");
        let launch = Launch::new("chromium", program, directory.path().join("chromium.log"))
            .env("HOME", directory.path().display().to_string())
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--remote-debugging-port=0", "--window-size=1400,900"])
            .args([format!("--user-data-dir={}", profile.display())]);
        let process = launch.spawn().expect("the browser is started");
        let address = address(&profile, &process).await;
        let (socket, _) = tungstenite::connect(address).expect("the browser takes a connection");
        let mut browser = Self {
            socket,
            session: None,
            calls: 0,
            events: Vec::new(),
            _process: process,
            _directory: directory,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        browser.session =
            browser.call("Target.attachToTarget", attach)["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(1_400, 900);
        browser.call("Page.navigate", json!({ "url": url }));
        until("the page is ready", async || browser.script(ready) == true).await;
        browser
    }

    /// Gives the window another size.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Loads the page again, with its address, and waits until `ready` is true.
    pub(crate) async fn reload(&mut self, ready: &str) {
        self.script("globalThis.lanesPage = undefined");
        self.call("Page.reload", json!({}));
        until("the page is ready again", async || self.script(ready) == true).await;
    }

    /// Returns the value of a JavaScript expression.
    pub(crate) fn script(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", parameters);
        answer["result"]["value"].take()
    }

    /// Waits until what was done is drawn.
    pub(crate) fn frame(&mut self) {
        self.script("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))");
    }

    /// A key, pressed and released.
    pub(crate) fn key(&mut self, key: &str) {
        let text = if key.chars().count() == 1 { key } else { "" };
        // Chromium tells Enter by its code.
        let (text, code) = if key == "Enter" { ("\r", 13) } else { (text, 0) };
        let down = json!({ "type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", down);
        self.call(
            "Input.dispatchKeyEvent",
            json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code }),
        );
        self.frame();
    }

    /// The wheel, turned at a point of the window.
    pub(crate) fn wheel(&mut self, x: f64, y: f64, delta: f64) {
        let event = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": delta });
        self.call("Input.dispatchMouseEvent", event);
        self.frame();
    }

    pub(crate) fn move_to(&mut self, x: f64, y: f64) {
        self.call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": x, "y": y }));
        self.frame();
    }

    /// Presses at one point and lets go at another.
    pub(crate) fn drag(&mut self, from: (f64, f64), to: (f64, f64)) {
        let event = |kind: &str, (x, y): (f64, f64), buttons: u8| json!({ "type": kind, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1 });
        self.call("Input.dispatchMouseEvent", event("mousePressed", from, 1));
        self.call("Input.dispatchMouseEvent", event("mouseMoved", to, 1));
        self.call("Input.dispatchMouseEvent", event("mouseReleased", to, 0));
        self.frame();
    }

    /// Returns what the page reported since it was opened.
    pub(crate) fn events(&mut self) -> &[Event] {
        // Whatever was sent before an answer has arrived with it.
        self.script("1");
        &self.events
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).expect("the browser listens");
        loop {
            let text = self.socket.read().expect("the browser answers").into_text().expect("in text");
            let mut answer: Value = serde_json::from_str(&text).expect("in JSON");
            if answer["id"] == self.calls {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
            if let Some(method) = answer["method"].as_str().map(str::to_owned) {
                self.events.push(Event { method, what: answer["params"].take() });
            }
        }
    }
}

/// Returns where the browser takes connections: it writes that into its profile once it does.
async fn address(profile: &Path, process: &Process) -> String {
    let file = profile.join("DevToolsActivePort");
    let mut address = None;
    until("the browser takes connections", async || {
        assert!(process.exit_status().is_none(), "{}", process.obituary());
        let text = fs::read_to_string(&file).unwrap_or_default();
        address = text.split_once('\n').map(|(port, path)| format!("ws://127.0.0.1:{port}{path}"));
        address.is_some()
    })
    .await;
    address.expect("it was just found")
}
