//! A role of the binary, started again whenever it ends, as an orchestrator would.

use std::io::Read as _;
use std::sync::Arc;

use serde_json::Value;

use crate::twofold::{Running, Twofold};

/// Lives that a role may end by itself: more, and it is no fault that ends it.
const ENDS_MAX: u32 = 100;

/// A role and its process.
pub(super) struct Worker {
    twofold: Arc<Twofold>,
    arguments: Vec<String>,
    running: Running,
    lives: u32,
    /// Times that it ended by itself.
    pub(super) ends: u32,
}

impl Worker {
    pub(super) fn start(twofold: &Arc<Twofold>, arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let running = spawn(twofold, &arguments, 0);
        Self { twofold: Arc::clone(twofold), arguments, running, lives: 0, ends: 0 }
    }

    /// kill -9.
    pub(super) fn kill(&mut self) {
        self.running.kill();
    }

    /// Starts it again.
    pub(super) fn restart(&mut self) {
        self.lives += 1;
        self.running = spawn(&self.twofold, &self.arguments, self.lives);
    }

    /// Starts it again if it has ended.
    pub(super) fn supervise(&mut self) {
        let Some(ended) = self.running.0.try_wait().unwrap() else { return };
        self.ends += 1;
        let log = self.twofold.path(&log(&self.arguments, self.lives));
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(3).collect();
        println!("it ended by itself ({ended}): {last:#?}");
        assert!(self.ends < ENDS_MAX, "it ends again and again");
        self.restart();
    }

    /// The most memory that this life has had, in KiB.
    pub(super) fn memory_kib_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.0.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        line.map_or(0, |line| line.trim().trim_end_matches(" kB").parse().unwrap())
    }

    /// Asks it to end; what it says last.
    pub(super) fn end(&mut self) -> Value {
        let mut stdout = self.running.0.stdout.take().unwrap();
        self.running.terminate();
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        serde_json::from_str(text.lines().last().expect("it was asked for JSON")).unwrap()
    }
}

/// Two roles of one directory do not write to one file.
fn log(arguments: &[String], life: u32) -> String {
    let role = if arguments.iter().any(|word| word == "serve") { "serve" } else { "update" };
    format!("{role}-{life}.log")
}

fn spawn(twofold: &Twofold, arguments: &[String], life: u32) -> Running {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    twofold.start_logged(&words, &log(arguments, life))
}
