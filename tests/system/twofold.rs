//! The binary and a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A directory that is removed at the end, with a `twofold` that works in it.
pub(crate) struct Twofold {
    root: tempfile::TempDir,
}

impl Twofold {
    pub(crate) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command in this directory, with the repository's definitions.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../feature-definitions");
        let mut command = Command::new(env!("CARGO_BIN_EXE_twofold"));
        command.current_dir(self.root.path()).arg("--definitions").arg(definitions).args(arguments);
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
        let mut command = self.command(arguments);
        Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }
}

/// A role that is killed at the latest when it goes out of scope.
pub(crate) struct Running(pub(crate) Child);

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
