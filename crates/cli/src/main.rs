//! The `twofold` binary: parse, build, run, drain.
//!
//! The only crate that knows every other one: it reads flags, puts the parts together and prints
//! what they report. It computes nothing of its own: no verdict, no feature, no candidate. Results
//! go to stdout (with `--json` the last line is one object), logs and progress to stderr.
//!
//! Start with [`args::Cli`], then the command's own file under `command/`.

mod admin;
mod args;
mod code;
mod command;
mod counts;
mod data;
mod dead_letters;
mod definition_files;
mod demo;
mod evaluate;
mod follower;
mod import;
mod metrics;
mod output;
mod roles;
mod settings;
mod shop;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use runtime::exit::{self, Code};

fn main() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A failure to print leaves nothing better to do than the exit code.
            let _ = error.print();
            let code = if error.use_stderr() { Code::Configuration } else { Code::Success };
            return code.into();
        }
    };
    match command::run(cli) {
        Ok(()) => Code::Success.into(),
        Err(error) if error.is::<output::Closed>() => Code::Success.into(),
        Err(error) => {
            // Where nobody reads, the code has to do.
            let _ = writeln!(std::io::stderr(), "twofold: {}", exit::message(&error));
            if let Some(table) = code::damaged_table(&error) {
                let _ = writeln!(std::io::stderr(), "twofold: damaged is {}", table.display());
            }
            code::of(&error).into()
        }
    }
}
