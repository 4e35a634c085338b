//! Redis' own benchmark, on keys that go again.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use online_store::{PlainSets, RedisSettings};
use runtime::exit::{Code, With};

/// How often it is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A process that ends with its owner, so that it writes nothing after its keys were removed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// # Errors
/// For a server with a password, which every user of this machine could read in the command line, and for TLS.
pub(super) fn check(settings: &RedisSettings) -> anyhow::Result<()> {
    match settings.password.is_some() || settings.tls {
        true => Err(anyhow::anyhow!(
            "--redis-benchmark is for a server without password and TLS: leave it out"
        ))
        .exit(Code::Configuration),
        false => Ok(()),
    }
}

/// The command line for a server that passes [`check`].
pub(super) fn command(
    program: &Path,
    settings: &RedisSettings,
    prefix: &str,
    load: PlainSets,
) -> Command {
    let (host, port) = &settings.nodes[0];
    let mut command = Command::new(program);
    let numbers = [
        ("-p", usize::from(*port)),
        ("-c", load.connections),
        ("-n", load.sets),
        ("-P", load.pipeline),
        ("-r", load.keys),
    ];
    command.args(["-h", host, "--csv", "--dbnum", &settings.database.to_string()]);
    for (flag, number) in numbers {
        command.args([flag, &number.to_string()]);
    }
    let key = format!("{prefix}__rand_int__");
    let value = load.bytes.saturating_sub(prefix.len() + DIGITS);
    command.args(["SET", &key, &"x".repeat(value)]);
    command
}

/// Digits that it puts in the place of `__rand_int__`.
const DIGITS: usize = 12;

/// Runs it to its end: `SET`s a second.
pub(super) async fn run(mut command: Command) -> anyhow::Result<f64> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let child = command.spawn().with_context(|| format!("--redis-benchmark {program}"));
    let mut running = Running(child.exit(Code::Configuration)?);
    let ended = loop {
        match running.0.try_wait()? {
            Some(ended) => break ended,
            None => tokio::time::sleep(LOOK).await,
        }
    };
    let said = running.0.stdout.take().map(std::io::read_to_string).transpose()?;
    let said = said.unwrap_or_default();
    anyhow::ensure!(ended.success(), "{program} failed ({ended}): {said}");
    per_second(&said).ok_or_else(|| anyhow::anyhow!("{program} said no rate: {said}"))
}

/// The rate in its last line: `"SET …","rate","latency",…`.
fn per_second(csv: &str) -> Option<f64> {
    let rate = csv.lines().last()?.split("\",\"").nth(1)?;
    rate.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: PlainSets =
        PlainSets { sets: 1000, pipeline: 50, connections: 4, keys: 300, bytes: 64 };

    #[test]
    fn it_sets_keys_with_our_prefix_and_of_the_same_size() {
        let settings = RedisSettings::from_url("redis://host:7000/3").unwrap();
        let command = command(Path::new("redis-benchmark"), &settings, "bench-1:plain:", LOAD);
        let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap()).collect();
        let joined = words.join(" ");
        for flags in ["-h host", "--dbnum 3", "-p 7000", "-c 4", "-n 1000", "-P 50", "-r 300"] {
            assert!(joined.contains(flags), "{joined}");
        }
        let [.., set, key, value] = &words[..] else { panic!("{joined}") };
        assert_eq!((*set, *key), ("SET", "bench-1:plain:__rand_int__"));
        assert_eq!(value.len() + "bench-1:plain:000000000000".len(), LOAD.bytes);
        let secret = RedisSettings::from_url("redis://:secret@host").unwrap();
        let refused = check(&secret).unwrap_err();
        assert!(check(&settings).is_ok() && !format!("{refused:#}").contains("secret"));
    }

    #[test]
    fn its_rate_is_read_and_anything_else_is_none() {
        let header = "\"test\",\"rps\",\"avg_latency_ms\"\n";
        let line = "\"SET bench-1:plain:__rand_int__ xx\",\"123456.79\",\"0.1\"\n";
        assert_eq!(per_second(&format!("{header}{line}")), Some(123_456.79));
        for other in [header, "", "\"SET\",\"0.00\",\"1\"", "\"SET\",\"inf\",\"1\""] {
            assert_eq!(per_second(other), None, "{other}");
        }
    }
}
