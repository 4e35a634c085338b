use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Process, free_port};

/// Times that a server is asked whether it is ready, and the pause in between.
const ASKED_MAX: u32 = 1_500;
const PAUSE: Duration = Duration::from_millis(20);
const LOG: &str = "redis.log";
const FILES: &str = "appendonlydir";

/// When the append-only file is synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before a write is answered.
    #[default]
    Always,
    /// Each second.
    EverySecond,
}

/// A Redis server with an append-only file, on a loopback port and in a folder that goes with it.
#[derive(Debug)]
pub struct Redis {
    server: PathBuf,
    folder: TempDir,
    port: u16,
    arguments: Vec<String>,
    process: Option<Process>,
}

/// A copy of a server's append-only file.
#[derive(Debug)]
pub struct Backup(TempDir);

impl Redis {
    /// Starts `server` (the path of `redis-server`).
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(server: &Path, fsync: Fsync) -> Self {
        Self::start_with(server, fsync, &[])
    }

    /// Starts it with these settings too, as its command line takes them.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start_with(server: &Path, fsync: Fsync, arguments: &[&str]) -> Self {
        Self::start_at(server, free_port(), fsync, arguments)
    }

    /// As [`Redis::start`]; at the second address (`rediss://127.0.0.1:PORT`) it speaks TLS.
    ///
    /// # Panics
    /// When it does not start.
    #[cfg(feature = "certificates")]
    #[must_use]
    pub fn start_with_tls(
        server: &Path,
        fsync: Fsync,
        certificates: &crate::Certificates,
    ) -> (Self, String) {
        let port = free_port();
        let arguments = certificates.of_redis(port);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let redis = Self::start_with(server, fsync, &arguments);
        (redis, format!("rediss://127.0.0.1:{port}"))
    }

    pub(crate) fn start_at(server: &Path, port: u16, fsync: Fsync, arguments: &[&str]) -> Self {
        let fsync = match fsync {
            Fsync::Always => "always",
            Fsync::EverySecond => "everysec",
        };
        let own = ["--appendonly", "yes", "--appendfsync", fsync, "--save", ""];
        let mut redis = Self {
            server: server.to_owned(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            port,
            arguments: own.iter().chain(arguments).map(ToString::to_string).collect(),
            process: None,
        };
        redis.restart();
        redis
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it again on its port and folder, after a `kill` if it is running, and waits until it
    /// answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(&self.server);
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"]);
        command.arg(self.folder.path()).args(["--maxmemory-policy", "noeviction"]);
        command.args(["--daemonize", "no"]).args(&self.arguments);
        self.process = Some(Process::start(command, &self.folder.path().join(LOG)));
        self.wait_until("PING", |answer| answer == "PONG");
    }

    /// Stops it in its tracks.
    pub fn pause(&self) {
        self.running().pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.running().resume();
    }

    /// Sends a command in one line of words and returns the text that is answered.
    ///
    /// # Errors
    /// When there is no answer, or it is not text.
    pub fn ask(&self, command: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let line = line.trim_end();
        let Some(bytes) = line.strip_prefix('$') else {
            return Ok(line.trim_start_matches(['+', ':']).to_owned());
        };
        let bytes = bytes.parse().map_err(io::Error::other)?;
        let mut text = vec![0; bytes];
        stream.read_exact(&mut text)?;
        String::from_utf8(text).map_err(io::Error::other)
    }

    /// Asks until the answer is as wanted.
    ///
    /// # Panics
    /// When it ends before, or never becomes so.
    pub fn wait_until(&mut self, command: &str, mut wanted: impl FnMut(&str) -> bool) {
        let mut last = String::new();
        for _ in 0..ASKED_MAX {
            match self.ask(command) {
                Ok(answer) if wanted(&answer) => return,
                Ok(answer) => last = answer,
                Err(error) => last = error.to_string(),
            }
            let process = self.process.as_mut().expect("a server that was started");
            assert!(!process.has_ended(), "redis-server ended: {}", process.last_words());
            std::thread::sleep(PAUSE);
        }
        panic!("{command} is answered by {last}: {}", self.running().last_words());
    }

    /// Copies its append-only file as it lies there, running or not.
    ///
    /// # Panics
    /// When it cannot be copied.
    #[must_use]
    pub fn backup(&self) -> Backup {
        let backup = tempfile::tempdir().expect("a temporary folder");
        copy(&self.folder.path().join(FILES), backup.path());
        Backup(backup)
    }

    /// Puts a copy in the place of the append-only file; the server must have been killed.
    ///
    /// # Panics
    /// When it runs, or the files cannot be copied.
    pub fn restore(&mut self, backup: &Backup) {
        assert!(self.process.is_none(), "a server that runs cannot be restored");
        let files = self.folder.path().join(FILES);
        fs::remove_dir_all(&files).expect("the append-only file can be removed");
        fs::create_dir(&files).expect("a folder can be created");
        copy(backup.0.path(), &files);
    }

    /// Cuts the append-only file's growing part to so many bytes; the server must have been killed.
    ///
    /// # Panics
    /// When it runs, or there is no such file.
    pub fn truncate(&mut self, bytes: u64) {
        assert!(self.process.is_none(), "a server that runs cannot be cut");
        let path = growing(&self.folder.path().join(FILES));
        let file = fs::File::options().write(true).open(path).expect("a file that can be written");
        file.set_len(bytes).expect("a file can be cut");
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("a server that was started")
    }
}

impl Backup {
    /// Bytes of its growing part.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        fs::metadata(growing(self.0.path())).expect("a file that can be asked").len()
    }
}

/// The part of an append-only file that commands are appended to.
fn growing(files: &Path) -> PathBuf {
    let entries = fs::read_dir(files).expect("a folder that can be read");
    let mut paths = entries.map(|entry| entry.expect("an entry of a folder").path());
    let grows = |path: &PathBuf| path.to_string_lossy().ends_with(".incr.aof");
    paths.find(grows).expect("an append-only file")
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder that can be read") {
        let entry = entry.expect("an entry of a folder");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a file can be copied");
    }
}
