//! A real browser, driven as the W3C's WebDriver says: headless Chromium through chromedriver.
//!
//! The driver speaks JSON over plain HTTP on loopback; a request a connection is all it takes.

#![allow(dead_code, reason = "each test uses the part of a browser that it needs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::needed;

/// Somebody who waits longer than this for a page has found a fault.
const PATIENCE: Duration = Duration::from_secs(30);
/// Until the driver must have answered one request.
const ANSWER_SECS_MAX: u64 = 60;
/// How often is looked whether something is there.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Under this name the protocol hands elements out (WebDriver section 11).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Key names of the protocol (WebDriver section 17.4.2).
pub const ENTER: &str = "\u{E007}";
/// The same for going to the next field.
pub const TAB: &str = "\u{E004}";

/// A browser with one window.
pub struct Browser {
    port: u16,
    session: String,
    driver: Child,
    /// Profile of the browser; goes with it.
    _profile: TempDir,
}

/// Something on a page.
pub struct Element(String);

impl Browser {
    /// Starts one, or says what is not installed.
    pub fn start() -> Option<Browser> {
        Browser::start_with(&[])
    }

    /// Starts one with these arguments behind its own.
    pub fn start_with(arguments: &[&str]) -> Option<Browser> {
        let driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut driver = needed::found(driver.ok(), "chromedriver is not installed")?;
        let port = told_port(&mut driver);
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Browser { port, session: String::new(), driver, _profile: profile };
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let mut all = vec![
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--window-size=1280,900",
            &profile,
        ];
        all.extend(arguments);
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": all },
        }}});
        let made = browser.send("POST", "/session", &capabilities);
        browser.session = made["sessionId"].as_str().expect("a session").to_owned();
        Some(browser)
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// Where the window is.
    pub fn url(&self) -> String {
        self.ask("GET", "/url", &Value::Null).as_str().unwrap().to_owned()
    }

    /// Path and query of where the window is.
    pub fn path(&self) -> String {
        let url = self.url();
        let rest = url.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').map_or("/", |at| &rest[at..]).to_owned()
    }

    /// Title of the page.
    pub fn title(&self) -> String {
        self.ask("GET", "/title", &Value::Null).as_str().unwrap().to_owned()
    }

    /// The first element of a CSS selector, as soon as it is there.
    #[track_caller]
    pub fn find(&self, css: &str) -> Element {
        self.until(&format!("{css} in {}", self.url()), || self.all(css).into_iter().next())
    }

    /// All elements of a CSS selector, now.
    pub fn all(&self, css: &str) -> Vec<Element> {
        let found = json!({ "using": "css selector", "value": css });
        let found = self.ask("POST", "/elements", &found);
        let ids = found.as_array().unwrap().iter();
        ids.map(|element| Element(element[ELEMENT].as_str().unwrap().to_owned())).collect()
    }

    /// The text of an element as people see it.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        // An element that was found may go with its page before it is read: then it is found anew.
        self.until(&format!("the text of {css} in {}", self.url()), || {
            let Element(id) = self.all(css).into_iter().next()?;
            let path = format!("/session/{}/element/{id}/text", self.session);
            let (status, text) = exchange(self.port, "GET", &path, &Value::Null).unwrap();
            assert!(status == 200 || text["error"] == "stale element reference", "{css}: {text}");
            text.as_str().map(str::to_owned)
        })
    }

    /// Clicks on an element. A page that this leads to is loaded when this returns.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let Element(id) = self.find(css);
        self.ask("POST", &format!("/element/{id}/click"), &json!({}));
    }

    /// Fills a field in, as by hand.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        let Element(id) = self.find(css);
        self.ask("POST", &format!("/element/{id}/clear"), &json!({}));
        self.ask("POST", &format!("/element/{id}/value"), &json!({ "text": text }));
    }

    /// Chooses an option by its value.
    #[track_caller]
    pub fn choose(&self, css: &str, value: &str) {
        self.click(&format!("{css} option[value='{value}']"));
    }

    /// Types keys into whatever has the focus.
    pub fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
        });
        let strokes: Vec<Value> = strokes.collect();
        let actions = json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] });
        self.ask("POST", "/actions", &actions);
    }

    /// Runs a function body in the page and answers with what it returns.
    pub fn script(&self, body: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// The same for a body that calls its last argument when it is done.
    pub fn script_async(&self, body: &str) -> Value {
        self.ask("POST", "/execute/async", &json!({ "script": body, "args": [] }))
    }

    /// Lets later calls look into this frame, or, without one, at the page itself.
    #[track_caller]
    pub fn frame(&self, css: Option<&str>) {
        let id = css.map(|css| json!({ ELEMENT: self.find(css).0 }));
        self.ask("POST", "/frame", &json!({ "id": id }));
    }

    /// What the window shows, as a PNG.
    pub fn screenshot(&self, file: &Path) {
        let png = self.ask("GET", "/screenshot", &Value::Null);
        std::fs::write(file, STANDARD.decode(png.as_str().unwrap()).unwrap()).unwrap();
    }

    /// Makes the window this large, and the page believe in a light or a dark screen.
    pub fn look(&self, width: u32, height: u32, dark: bool) {
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Lets the browser ask for this language from now on.
    pub fn speak(&self, language: &str) {
        self.devtools("Network.enable", json!({}));
        let headers = json!({ "headers": { "Accept-Language": language } });
        self.devtools("Network.setExtraHTTPHeaders", headers);
    }

    /// A command of Chromium's own protocol.
    pub fn devtools(&self, command: &str, parameters: Value) -> Value {
        let command = json!({ "cmd": command, "params": parameters });
        self.ask("POST", "/goog/cdp/execute", &command)
    }

    /// Says yes to what the page asks, and what that was.
    pub fn alert(&self) -> String {
        let text = self.ask("GET", "/alert/text", &Value::Null);
        self.ask("POST", "/alert/accept", &json!({}));
        text.as_str().unwrap().to_owned()
    }

    /// Forgets every cookie.
    pub fn forget(&self) {
        self.ask("DELETE", "/cookie", &Value::Null);
    }

    /// Waits until a look gives something.
    #[track_caller]
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What axe-core finds that is serious or critical, one line each; `None` if it is not
    /// installed.
    pub fn accessibility(&self) -> Option<Vec<String>> {
        let axe = std::env::var("POSTROOM_NODE_MODULES").ok().and_then(|modules| {
            std::fs::read_to_string(Path::new(&modules).join("axe-core/axe.min.js")).ok()
        });
        let axe = needed::found(axe, "axe-core is not in POSTROOM_NODE_MODULES")?;
        self.script(&axe);
        let found = self.script_async(
            "const done = arguments[arguments.length - 1];
             axe.run(document).then((found) => done(found.violations
               .filter((it) => ['serious', 'critical'].includes(it.impact))
               .flatMap((it) => it.nodes.map((node) =>
                 `${it.id}: ${it.help}: ${node.html} ${node.failureSummary}`))),
               (error) => done([String(error)]));",
        );
        let lines = found.as_array().unwrap_or_else(|| panic!("axe-core answers {found}")).iter();
        Some(lines.map(|line| line.as_str().unwrap().to_owned()).collect())
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.send(method, &format!("/session/{}{path}", self.session), body)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, value) = exchange(self.port, method, path, body).unwrap();
        assert!(status == 200, "{method} {path} {body:.300}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends its browser when the session is deleted.
        if !self.session.is_empty() {
            let _ =
                exchange(self.port, "DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The port that the driver says it listens on.
fn told_port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.ok()?;
        let rest = line.split_once("was started successfully on port ")?.1;
        rest.trim_end_matches('.').parse().ok()
    });
    // Whatever else it says is read away, so that it never waits for a reader.
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver says on which port it listens")
}

/// One request to the driver: status and `value` of the answer.
fn exchange(port: u16, method: &str, path: &str, body: &Value) -> std::io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(ANSWER_SECS_MAX)))?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut reader = BufReader::new(stream);
    let (mut line, mut status, mut length) = (String::new(), 0, 0);
    while reader.read_line(&mut line)? > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(rest) = lower.strip_prefix("http/1.1 ") {
            status = rest.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0);
        }
        if let Some(rest) = lower.strip_prefix("content-length:") {
            length = rest.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut answer = vec![0; length];
    reader.read_exact(&mut answer)?;
    let mut answer: Value = serde_json::from_slice(&answer)?;
    Ok((status, answer["value"].take()))
}
