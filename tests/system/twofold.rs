//! The binary and a data directory of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A directory that is removed at the end, with a `twofold` that works in it.
pub(crate) struct Twofold {
    root: tempfile::TempDir,
    definitions: PathBuf,
}

impl Twofold {
    pub(crate) fn new() -> Self {
        let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../feature-definitions");
        Self { root: tempfile::tempdir().unwrap(), definitions }
    }

    /// From now on works with definitions of its own, in which `file` says `now` in the place of `was`.
    pub(crate) fn change_definition(&mut self, file: &str, was: &str, now: &str) {
        let copy = self.path("definitions");
        for folder in ["sources", "groups", "models"] {
            std::fs::create_dir_all(copy.join(folder)).unwrap();
            for entry in std::fs::read_dir(self.definitions.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                // A golden example of the unchanged definition would not hold.
                if !path.to_str().unwrap().ends_with(".examples.toml") {
                    let text = std::fs::read(&path).unwrap();
                    std::fs::write(copy.join(folder).join(path.file_name().unwrap()), text)
                        .unwrap();
                }
            }
        }
        let path = copy.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(was), "{file} does not say {was}");
        std::fs::write(&path, text.replace(was, now)).unwrap();
        self.definitions = copy;
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command in this directory, with its definitions.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twofold"));
        let command_line = command.current_dir(self.root.path()).arg("--definitions");
        command_line.arg(&self.definitions).args(arguments);
        command.env("NO_COLOR", "1");
        command
    }

    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs with `--json`; panics unless it succeeds. The last line of stdout.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.output(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        let stdout = text(&output.stdout);
        serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
    }

    /// Runs and expects a failure; its code and stderr.
    pub(crate) fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.output(arguments);
        assert!(!output.status.success(), "{arguments:?} succeeded: {}", text(&output.stdout));
        (output.status.code().unwrap(), text(&output.stderr))
    }

    /// Starts a role.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        spawned(self.command(arguments))
    }

    /// Starts a role with its log in a file of that name.
    pub(crate) fn start_logged(&self, arguments: &[&str], log: &str) -> Running {
        let log = std::fs::File::create(self.path(log)).unwrap();
        let mut command = self.command(arguments);
        Running(command.stdout(Stdio::piped()).stderr(log).spawn().unwrap())
    }

    /// Another directory with a copy of what is in this one; no process may be at work in it.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        copy_into(self.root.path(), copy.root.path());
        copy
    }
}

impl Drop for Twofold {
    /// What a test that fails leaves behind says why: the logs of its roles among it.
    #[expect(clippy::print_stderr, reason = "where it lies is told with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.root.disable_cleanup(true);
            eprintln!(
                "the directory of the test that failed is kept: {}",
                self.root.path().display()
            );
        }
    }
}

/// Starts a role as the command says.
pub(crate) fn spawned(mut command: Command) -> Running {
    Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
}

/// Copies a directory's files and folders into another one.
pub(crate) fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_into(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// A role that is killed at the latest when it goes out of scope.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Asks it to end (SIGTERM) and waits until it has, with success.
    pub(crate) fn terminate(&mut self) {
        assert_eq!(self.terminated(), Some(0));
    }

    /// Asks it to end (SIGTERM) and waits until it has; its exit code.
    pub(crate) fn terminated(&mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
        self.0.wait().unwrap().code()
    }

    /// The first line that it says; `None`: it ended before.
    pub(crate) fn said(&mut self) -> Option<Value> {
        let mut line = String::new();
        BufReader::new(self.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        serde_json::from_str(&line).ok()
    }

    /// Where it says that it listens; `None`: it ended before.
    pub(crate) fn address(&mut self) -> Option<String> {
        self.said()?["listening"].as_str().map(str::to_owned)
    }

    /// kill -9; when it returns the process is gone.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sum of a field over the lanes of one source and entity.
pub(crate) fn ledger(status: &Value, entity: &str, field: &str) -> u64 {
    let lanes = status["lanes"].as_array().unwrap().iter();
    let ours = lanes.filter(|l| l["source"] == "clickstream" && l["entity"] == entity);
    ours.map(|lane| lane[field].as_u64().unwrap()).sum()
}
