//! The real binary as a server of the bench's own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bodies::SECRET;
use super::process::{cpu_of, peak_memory};

/// A running `footfall serve`, ended by its process id when dropped.
pub struct Server {
    child: Child,
    dir: tempfile::TempDir,
    receiver: String,
    admin: String,
}

impl Server {
    /// Starts it on a database, with more configuration.
    pub fn start(database: &str, more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let database = if database == "sqlite" { format!("sqlite:{}", dir.path().join("footfall.db").display()) } else { database.to_owned() };
        let config = format!(
            "data_dir = {:?}\ndatabase = {database:?}\n[[listen]]\naddress = \"127.0.0.1:0\"\ntls = \"self-signed\"\n\
             [[receiver]]\nname = \"bench\"\npath = \"/meraki/bench\"\nvalidator = \"bench\"\nsecrets = [\"{SECRET}\"]\n\
             [admin]\naddress = \"127.0.0.1:0\"\n{more}\n",
            dir.path().join("data")
        );
        let file = dir.path().join("footfall.toml");
        fs::write(&file, config).expect("write the configuration");
        let mut command = Command::new(env!("CARGO_BIN_EXE_footfall"));
        let mut child = command.args(["serve", "--config"]).arg(file).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("start footfall");
        let mut log = BufReader::new(child.stderr.take().expect("its log is piped"));
        let (mut receiver, mut admin, mut said) = (String::new(), String::new(), String::new());
        while admin.is_empty() {
            let mut line = String::new();
            assert!(log.read_line(&mut line).expect("read its log") > 0, "footfall does not start:\n{said}");
            said.push_str(&line);
            if let Some(url) = line.trim().strip_prefix("listening receiver ") {
                url.clone_into(&mut receiver);
            } else if let Some(url) = line.trim().strip_prefix("listening admin http://") {
                url.clone_into(&mut admin);
            }
        }
        // Read on, so that it never waits for us.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, dir, receiver, admin }
    }

    /// Where posts go.
    pub fn url(&self) -> String {
        format!("{}/meraki/bench", self.receiver)
    }

    /// The authority that its certificate is from.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("data/certificates/ca.pem")
    }

    /// Processor time so far.
    pub fn cpu(&self) -> Duration {
        cpu_of(self.child.id())
    }

    /// The most memory so far.
    pub fn peak_memory(&self) -> u64 {
        peak_memory(self.child.id())
    }

    /// `/v1/status`.
    pub fn status(&self) -> Value {
        let answer = self.admin("/v1/status");
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// A sample of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let metrics = self.admin("/metrics");
        let found = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        found.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is not in\n{metrics}"))
    }

    /// Waits until the store has all that was answered; the status says when.
    pub fn wait_until_applied(&self) -> Value {
        let started = Instant::now();
        loop {
            let status = self.status();
            if status["store"]["cursor"] == status["journal"]["next_position"] {
                return status;
            }
            assert!(started.elapsed() < Duration::from_secs(300), "not applied: {status:#}");
            // The answer itself takes a little; more often would take the processor from what is measured.
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).expect("connect to the admin listener");
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").expect("ask");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read the answer");
        answer.split_once("\r\n\r\n").expect("an answer").1.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
