//! Starts the real binary, talks to it, and ends it by its process id.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub(crate) const FOOTFALL: &str = env!("CARGO_BIN_EXE_footfall");
/// The secret that every test's receivers take. Obviously fake.
pub(crate) const SECRET: &str = "not-a-real-secret-7f3a";
/// The validator that every test's receivers answer.
pub(crate) const VALIDATOR: &str = "0123456789abcdef0123456789abcdef01234567";
/// Long enough for a loaded machine; nothing waits this long unless something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// HTTPS, HTTP and admin.
const LISTENERS: usize = 3;

/// A directory with a configuration, and what runs in it.
pub(crate) struct Site {
    dir: tempfile::TempDir,
    database: String,
    /// What `serve` is started by, such as `prlimit`, which becomes it.
    launcher: Vec<String>,
    /// Environment variables of `serve` alone.
    variables: Vec<(&'static str, String)>,
}

impl Site {
    /// A site on SQLite.
    pub(crate) fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", dir.path().join("data/footfall.db").display());
        Self::with(dir, database, "")
    }

    /// A site on another database.
    pub(crate) fn on(database: &str) -> Self {
        Self::with(tempfile::tempdir().unwrap(), database.to_owned(), "")
    }

    /// A site on another database with more configuration.
    pub(crate) fn on_with(database: &str, more: &str) -> Self {
        Self::with(tempfile::tempdir().unwrap(), database.to_owned(), more)
    }

    /// A site on SQLite with more configuration.
    pub(crate) fn sqlite_with(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", dir.path().join("data/footfall.db").display());
        Self::with(dir, database, more)
    }

    fn with(dir: tempfile::TempDir, database: String, more: &str) -> Self {
        let config = format!(
            "data_dir = {:?}\ndatabase = {database:?}\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\ntls = \"self-signed\"\n\
             [[listen]]\naddress = \"127.0.0.1:0\"\ntls = \"off\"\n\
             [[receiver]]\nname = \"mall\"\npath = \"/meraki/mall\"\nvalidator = \"{VALIDATOR}\"\nsecrets = [\"{SECRET}\"]\n\
             [[receiver]]\nname = \"other\"\npath = \"/meraki/other\"\nvalidator = \"{VALIDATOR}\"\nsecrets = [\"{SECRET}\"]\n\
             [admin]\naddress = \"127.0.0.1:0\"\n\
             [journal]\nfree_min = \"1MiB\"\n{more}\n",
            dir.path().join("data"),
        );
        fs::write(dir.path().join("footfall.toml"), config).unwrap();
        Self { dir, database, launcher: Vec::new(), variables: Vec::new() }
    }

    /// The same, with `serve` started by another program.
    pub(crate) fn started_by(self, launcher: &[&str]) -> Self {
        Self { launcher: launcher.iter().map(|&word| word.to_owned()).collect(), ..self }
    }

    /// The same, with an environment variable for `serve`.
    pub(crate) fn with_variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Gives the HTTPS listener an address that stays free while the server is dead: nobody else uses this loopback address, not even as
    /// the near end of a connection.
    pub(crate) fn keep_address(&self) -> String {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        let host = Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Relaxed));
        let address = TcpListener::bind((host, 0)).unwrap().local_addr().unwrap().to_string();
        let config = fs::read_to_string(self.path("footfall.toml")).unwrap();
        fs::write(self.path("footfall.toml"), config.replacen("127.0.0.1:0", &address, 1)).unwrap();
        address
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// A command of the binary, with this site's configuration where it takes one.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(FOOTFALL);
        command.args(arguments).current_dir(self.dir.path());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Rows of a query, as JSON objects.
    pub(crate) fn query(&self, sql: &str) -> Vec<Value> {
        let out = self.run(&["query", sql, "--format", "json"]);
        assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
        serde_json::from_slice(&out.stdout).unwrap()
    }

    /// One number of a query.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let rows = self.query(sql);
        let value = rows[0].as_object().unwrap().values().next().unwrap();
        value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok())).unwrap_or_else(|| panic!("{sql}: {value}"))
    }

    /// Starts `serve` and waits until all its listeners answer.
    pub(crate) fn serve(&self) -> Served {
        self.try_serve().unwrap_or_else(|(status, log)| panic!("serve ended with {status}: {log}"))
    }

    /// Starts `serve`; what it said when it ended instead of listening.
    pub(crate) fn try_serve(&self) -> Result<Served, (ExitStatus, String)> {
        self.start().listen()
    }

    /// Starts `serve` and waits for nothing.
    pub(crate) fn start(&self) -> Starting {
        let mut command = match self.launcher.split_first() {
            None => self.command(&["serve"]),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(FOOTFALL).arg("serve").current_dir(self.dir.path());
                command
            }
        };
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let (sender, lines) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut log = String::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.push_str(&line);
                log.push('\n');
                let _ = sender.send(line);
            }
            log
        });
        Starting { process: Process { child: Some(child), lines, reader: Some(reader) }, since: Instant::now(), urls: Vec::new(), seen: String::new() }
    }

    /// Starts the simulator against a running server's HTTPS listener.
    pub(crate) fn simulate(&self, served: &Served, more: &[&str]) -> Child {
        let ca = self.data().join("certificates/ca.pem");
        let url = format!("https://{}/meraki/mall", served.https);
        let mut command = self.command(&["simulate", "--url", &url, "--secret", SECRET, "--ca"]);
        command.arg(ca).args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs the simulator to its end, which must be a good one.
    pub(crate) fn simulate_all(&self, served: &Served, more: &[&str]) -> String {
        finish(self.simulate(served, more))
    }

    /// The database's URL.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }
}

/// Waits for a child's good end and gives what it printed.
pub(crate) fn finish(child: Child) -> String {
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}\n{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A process of `serve` and its log. It is killed when dropped.
struct Process {
    child: Option<Child>,
    lines: mpsc::Receiver<String>,
    reader: Option<JoinHandle<String>>,
}

impl Process {
    fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.take().unwrap().wait().unwrap();
        (status, self.reader.take().map_or_else(String::new, |reader| reader.join().unwrap()))
    }

    fn kill(mut self) -> String {
        self.child.as_mut().unwrap().kill().unwrap();
        self.wait().1
    }

    /// SIGSTOP, and waits until no thread runs any more; one that is inside a call of the kernel (D) stops before it leaves it.
    fn freeze(&self) {
        let id = self.child.as_ref().unwrap().id();
        assert!(Command::new("kill").args(["-STOP", &id.to_string()]).status().unwrap().success());
        let runs = |task: std::io::Result<fs::DirEntry>| {
            let stat = fs::read_to_string(task.unwrap().path().join("stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") T ") && !stat.contains(") D ")
        };
        while fs::read_dir(format!("/proc/{id}/task")).unwrap().any(runs) {
            std::thread::yield_now();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A `serve` that may not listen yet.
pub(crate) struct Starting {
    process: Process,
    since: Instant,
    /// What it says it listens on, in its order: HTTPS, HTTP, admin.
    urls: Vec<String>,
    seen: String,
}

impl Starting {
    /// Waits until all listeners answer; what it said when it ended instead.
    pub(crate) fn listen(mut self) -> Result<Served, (ExitStatus, String)> {
        while self.urls.len() < LISTENERS {
            let Ok(line) = self.process.lines.recv_timeout(PATIENCE) else {
                let _ = self.process.child.as_mut().unwrap().kill();
                return Err((self.process.wait().0, self.seen));
            };
            self.note(&line);
        }
        let [https, http, admin] = <[String; LISTENERS]>::try_from(self.urls).unwrap();
        let id = self.process.child.as_ref().unwrap().id();
        Ok(Served { id, lines: Mutex::new(self.seen.lines().map(str::to_owned).collect()), process: Mutex::new(self.process), https, http, admin })
    }

    /// Lets it run until a moment after its start; how long it took to listen, when it does by then. It must not end by itself.
    pub(crate) fn run_until(&mut self, moment: Duration) -> Option<Duration> {
        let mut listened = None;
        loop {
            match self.process.lines.recv_timeout(moment.saturating_sub(self.since.elapsed())) {
                Ok(line) => self.note(&line),
                Err(mpsc::RecvTimeoutError::Timeout) => return listened,
                Err(mpsc::RecvTimeoutError::Disconnected) => panic!("serve ended by itself: {}", self.seen),
            }
            if self.urls.len() == LISTENERS && listened.is_none() {
                listened = Some(self.since.elapsed());
            }
        }
    }

    /// Stops it with SIGSTOP, and returns when it has stopped.
    pub(crate) fn freeze(&self) {
        self.process.freeze();
    }

    /// kill -9; the log.
    pub(crate) fn kill(self) -> String {
        self.process.kill()
    }

    fn note(&mut self, line: &str) {
        self.seen.push_str(line);
        self.seen.push('\n');
        let url = line.strip_prefix("listening receiver ").or_else(|| line.strip_prefix("listening admin "));
        self.urls.extend(url.and_then(|url| url.split_once("://")).map(|(_, address)| address.to_owned()));
    }
}

/// A running `serve`. It is killed when dropped.
pub(crate) struct Served {
    id: u32,
    process: Mutex<Process>,
    /// Lines of the log that nobody has waited for yet.
    lines: Mutex<VecDeque<String>>,
    pub(crate) https: String,
    pub(crate) http: String,
    pub(crate) admin: String,
}

impl Served {
    /// A `serve` that a test has started itself and whose log it reads itself.
    pub(crate) fn adopt(child: Child, https: String, http: String, admin: String) -> Self {
        let (id, (_, lines)) = (child.id(), mpsc::channel());
        Self { id, process: Mutex::new(Process { child: Some(child), lines, reader: None }), lines: Mutex::default(), https, http, admin }
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Sends a signal by the process id.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Stops it with SIGSTOP, and returns when it has stopped.
    pub(crate) fn freeze(&self) {
        self.process.lock().unwrap().freeze();
    }

    /// Waits for the end; the exit status and everything it logged.
    pub(crate) fn wait(self) -> (ExitStatus, String) {
        self.process.into_inner().unwrap().wait()
    }

    /// Waits for a line of the log that holds `part`, after the line that was waited for last.
    pub(crate) fn wait_for_log(&self, part: &str) -> String {
        let (mut lines, process) = (self.lines.lock().unwrap(), self.process.lock().unwrap());
        loop {
            let line = lines.pop_front().or_else(|| process.lines.recv_timeout(PATIENCE).ok());
            let line = line.unwrap_or_else(|| panic!("the log does not say {part:?} within {PATIENCE:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// SIGTERM, and a good end.
    pub(crate) fn stop(self) -> String {
        self.signal("TERM");
        let (status, log) = self.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        log
    }

    /// kill -9.
    pub(crate) fn kill(self) -> String {
        self.process.into_inner().unwrap().kill()
    }

    /// An answer of the admin listener: status code and body.
    pub(crate) fn admin(&self, path: &str) -> (u16, String) {
        request(&self.admin, &format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n"), b"")
    }

    /// `/v1/status`.
    pub(crate) fn status(&self) -> Value {
        let (code, body) = self.admin("/v1/status");
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The value of a metric line with these exact labels.
    pub(crate) fn metric(&self, line: &str) -> u64 {
        metric(&self.admin("/metrics").1, line)
    }

    /// Posts a body to the plain listener: status code and body of the answer.
    pub(crate) fn post(&self, path: &str, body: &[u8]) -> (u16, String) {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: footfall\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        request(&self.http, &head, body)
    }

    /// Asks `/v1/status` again and again until it is as wished; each answer is an event of the program, and there is no fixed wait.
    pub(crate) fn wait_until(&self, what: &str, wish: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let status = self.status();
            if wish(&status) {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "not {what} within {PATIENCE:?}: {status:#}");
            // The next line of the log may tell of what is waited for. Asking without a pause would take the processor from those who work.
            let line = self.process.lock().unwrap().lines.recv_timeout(Duration::from_millis(5));
            self.lines.lock().unwrap().extend(line);
        }
    }

    /// Waits until the store has everything that was answered.
    pub(crate) fn wait_until_applied(&self) -> Value {
        self.wait_until("applied", |status| status["store"]["state"] == "running" && status["store"]["cursor"] == status["journal"]["next_position"])
    }
}

/// The value of a metric line with these exact labels.
pub(crate) fn metric(metrics: &str, line: &str) -> u64 {
    metrics
        .lines()
        .find_map(|found| found.strip_prefix(line)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("{line} is not in\n{metrics}"))
        .parse::<f64>()
        .map(|value| value as u64)
        .unwrap()
}

/// One request on a connection of its own.
pub(crate) fn request(address: &str, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head[9..12].parse().unwrap(), unchunk(head, body))
}

fn unchunk(head: &str, body: &str) -> String {
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, more)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        whole.push_str(&more[..size]);
        rest = &more[size + 2..];
    }
    whole
}

/// A time zone in which it is not about four in the morning, when pseudonyms change.
pub(crate) fn zone_by_day() -> &'static str {
    if (3..6).contains(&(jiff::Timestamp::now().as_second() / 3_600 % 24)) { "Asia/Tokyo" } else { "UTC" }
}

/// Every file below a directory, with its bytes.
pub(crate) fn files_below(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.is_file() {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found
}
