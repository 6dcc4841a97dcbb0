//! A Postgres server of the tests' own: made with initdb in a temporary directory, reached by a unix socket in it.
//!
//! The server hangs on a shell that reads a pipe of ours. When this process ends, in whatever way, the pipe closes, and the shell ends
//! the server by its process id and removes the directory. Postgres refuses to run as root, so root runs it as the user `postgres`.
//! This file depends on nothing of the crate, so that other test programs include it by `#[path]`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// A running server, or one that was stopped and may be started again.
pub(crate) struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    /// Settings in place of the tests' own, which are for speed.
    settings: Vec<String>,
    supervisor: Option<(Child, ChildStdin)>,
}

impl Cluster {
    /// Makes and starts a server.
    ///
    /// # Panics
    /// With the remedy when Postgres is not installed, and with the server's own words when it does not start.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Cluster::start`], with settings of its own.
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let programs = programs();
        let user = unprivileged_user();
        let directory = std::env::temp_dir().join(format!("footfall-postgres-{}-{:x}", std::process::id(), unique()));
        std::fs::create_dir(&directory).expect("make the directory of the server");
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).expect("close the directory to others");
        if let Some((uid, gid)) = user {
            chown(&directory, Some(uid), Some(gid)).expect("give the directory to the user postgres");
        }
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let mut cluster = Self { directory, programs, user, settings, supervisor: None };
        let data = cluster.data();
        let options = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync", "-D"];
        let made = cluster.command("initdb").args(options).arg(&data).output().expect("run initdb");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        cluster.restart();
        cluster
    }

    /// Where its files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The URL of a database.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@localhost/{database}?host={}", self.directory.display())
    }

    /// Makes an empty database and gives its URL.
    pub(crate) fn make_database(&self, name: &str) -> String {
        let made = self.command("createdb").args(["--username=postgres", "--host"]).arg(&self.directory).arg(name).output().expect("run createdb");
        assert!(made.status.success(), "createdb failed: {}", String::from_utf8_lossy(&made.stderr));
        self.url(name)
    }

    /// Runs SQL as the server's owner: what an operator does by hand behind the program's back.
    pub fn sql(&self, database: &str, sql: &str) {
        let mut psql = self.command("psql");
        psql.args(["--username=postgres", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--host"]).arg(&self.directory);
        let done = psql.args(["--dbname", database, "--command", sql]).output().expect("run psql");
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Stops the server at once, as an operator's fast shutdown does: sessions are cut, data stays.
    pub(crate) fn stop(&mut self) {
        self.end("keep");
    }

    /// Ends the server in the middle of whatever it does, as `pg_ctl stop -m immediate`: it must recover when it starts again.
    pub(crate) fn crash(&mut self) {
        self.end("crash");
    }

    fn end(&mut self, word: &str) {
        if let Some((mut supervisor, mut pipe)) = self.supervisor.take() {
            writeln!(pipe, "{word}").expect("tell the supervisor to stop the server");
            supervisor.wait().expect("wait for the supervisor");
        }
    }

    /// Stops every process of the server with SIGSTOP, until what is returned is dropped.
    pub(crate) fn freeze(&self) -> Frozen {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).expect("read the server's process id");
        let server = file.lines().next().expect("the first line is the process id").to_owned();
        signal("STOP", &server);
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).expect("list the server's processes");
        let processes: Vec<String> = std::iter::once(server).chain(children.split_whitespace().map(str::to_owned)).collect();
        processes.iter().skip(1).for_each(|process| signal("STOP", process));
        Frozen { processes }
    }

    /// Copies the running server with `pg_basebackup`, as an operator would for a backup.
    pub(crate) fn back_up(&self, name: &str) {
        let mut command = self.command("pg_basebackup");
        command.args(["--username=postgres", "--no-password", "--checkpoint=fast", "--no-sync", "--host"]).arg(&self.directory);
        let done = command.arg("--pgdata").arg(self.directory.join(name)).output().expect("run pg_basebackup");
        assert!(done.status.success(), "pg_basebackup failed: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Loses the server's data and puts a backup in its place. The server is stopped before and started after.
    pub(crate) fn restore(&mut self, name: &str) {
        self.crash();
        std::fs::remove_dir_all(self.data()).expect("lose the server's data");
        std::fs::rename(self.directory.join(name), self.data()).expect("put the backup in its place");
        self.restart();
    }

    /// Runs one of Postgres' programs against a database, and gives what it printed.
    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut command = self.command(program);
        command.args(["--username=postgres", "--host"]).arg(&self.directory).args(arguments);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run a program of Postgres");
        let mut pipe = child.stdin.take().expect("its input is piped");
        let out = std::thread::scope(|scope| {
            scope.spawn(move || pipe.write_all(input));
            child.wait_with_output().expect("wait for a program of Postgres")
        });
        assert!(out.status.success(), "{program} failed: {}", String::from_utf8_lossy(&out.stderr));
        out.stdout
    }

    /// A psql session that stays open, to hold what a statement takes: it runs `sql`, prints `ready`, and ends when it is dropped.
    pub(crate) fn session(&self, database: &str, sql: &str) -> Session {
        let mut psql = self.command("psql");
        psql.args(["--username=postgres", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--host"]).arg(&self.directory).args(["--dbname", database]);
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run psql");
        let mut pipe = child.stdin.take().expect("its input is piped");
        writeln!(pipe, "{sql};\n\\echo ready").expect("tell psql what to do");
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("its output is piped"));
        while !said.contains("ready") {
            assert!(out.read_line(&mut said).expect("read what psql says") > 0, "psql has ended: {said}");
        }
        Session { child, _pipe: pipe }
    }

    /// Gives a directory to whom the server runs as.
    pub(crate) fn own(&self, directory: &Path) {
        if let Some((uid, gid)) = self.user {
            chown(directory, Some(uid), Some(gid)).expect("give a directory to the user postgres");
        }
    }

    /// The server's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join(".s.PGSQL.5432")
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Starts the server again, and returns when it takes connections.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let server = self.programs.join("postgres");
        let settings = ["listen_addresses=", "fsync=off", "full_page_writes=off", "lc_messages=C", "max_connections=60", "autovacuum=off"];
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISOR, "supervisor"]).arg(&self.directory).arg(server).arg("-D").arg(self.data());
        command.arg("-k").arg(&self.directory);
        command.args(settings.iter().flat_map(|setting| ["-c", setting]));
        command.args(self.settings.iter().flat_map(|setting| ["-c", setting]));
        command.current_dir(&self.directory).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let mut supervisor = command.spawn().expect("start the supervisor");
        let pipe = supervisor.stdin.take().expect("the supervisor's input is piped");
        let mut log = BufReader::new(supervisor.stderr.take().expect("the supervisor's log is piped"));
        let mut said = String::new();
        while !said.contains("ready to accept connections") {
            let read = log.read_line(&mut said).expect("read the server's log");
            assert!(read > 0, "Postgres does not start:\n{said}");
        }
        // The log is read on, so that the server never waits for us.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        self.supervisor = Some((supervisor, pipe));
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.directory);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        match self.supervisor.take() {
            Some((mut supervisor, pipe)) => {
                drop(pipe);
                let _ended = supervisor.wait();
            }
            None => drop(std::fs::remove_dir_all(&self.directory)),
        }
    }
}

/// A server that does nothing at all until this is dropped.
pub(crate) struct Frozen {
    processes: Vec<String>,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.processes.iter().for_each(|process| signal("CONT", process));
    }
}

/// A psql that holds something.
pub(crate) struct Session {
    child: Child,
    _pipe: ChildStdin,
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(name: &str, process: &str) {
    // A process may have ended meanwhile.
    let _sent = Command::new("kill").args([&format!("-{name}"), process]).stderr(Stdio::null()).status();
}

/// Runs the server until a line or the end of its input; removes the directory ($1) unless the line says otherwise. A server that was
/// stopped by SIGSTOP goes on first, or it could not end.
const SUPERVISOR: &str = r#"
directory=$1; shift
"$@" &
server=$!
exec 2>/dev/null
word=
read -r word
case $word in
    crash) kill -QUIT "$server" ;;
    *) kill -INT "$server" ;;
esac
for process in "$server" $(cat "/proc/$server/task/$server/children"); do kill -CONT "$process"; done
wait "$server"
[ -n "$word" ] || rm -rf "$directory"
"#;

/// The folder of the newest Postgres.
fn programs() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let mut installed: Vec<PathBuf> = installed.filter(|folder| is_complete(folder)).collect();
    installed.sort_by_key(|folder| version(folder));
    installed.pop().or_else(|| on_path.into_iter().find(|folder| is_complete(folder))).expect(
        "no Postgres server is installed, which these tests need: apt-get install postgresql (15 or later), \
         or put initdb and postgres on the PATH",
    )
}

fn is_complete(folder: &Path) -> bool {
    ["initdb", "postgres", "createdb", "psql", "pg_basebackup", "pg_dump"].iter().all(|program| folder.join(program).exists())
}

fn version(folder: &Path) -> u32 {
    folder.parent().and_then(Path::file_name).and_then(OsStr::to_str).and_then(|name| name.parse().ok()).unwrap_or(0)
}

/// Whom root runs the server as.
fn unprivileged_user() -> Option<(u32, u32)> {
    let me = std::fs::metadata("/proc/self").expect("look at this process").uid();
    if me != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let ids = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(ids("postgres").or_else(|| ids("nobody")).expect("root needs the user postgres or nobody, since Postgres refuses to run as root"))
}

/// A number that no other call gives.
fn unique() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::hash::RandomState::new().build_hasher().finish()
}
