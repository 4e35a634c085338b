//! Exit codes, and errors that say what to do.

use crate::trained::{trained, with};
use crate::twofold::{Running, Twofold, copy_into, text};

#[test]
fn wrong_flags_and_settings_end_with_64() {
    let twofold = Twofold::new();
    for (arguments, expected) in [
        (&["--log", "kafka://localhost", "status"][..], "HOST:PORT"),
        (&["--log", "rabbit://localhost:9092", "status"], "embedded"),
        (&["--store", "memcached://localhost", "status"], "redis://"),
        (&["import", "yoochose", "x"], "yoochoose"),
        (&["frobnicate"], "frobnicate"),
        (&["--config", "missing.toml", "status"], "missing.toml"),
        (&["up", "--listen", "nowhere"], "ADDRESS:PORT"),
        (&["--dta", "here", "status"], "--data"),
        (&["demo", "--seed", "seven"], "seven"),
        (&["import", "yoochoose", "x", "--source", "catalog"], "--source is for `jsonl`"),
        (&["update", "--crash-at", "nowhere"], "log.append.after_sync"),
    ] {
        let (code, stderr) = twofold.fails(arguments);
        assert_eq!(code, 64, "{arguments:?}: {stderr}");
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_wrong_setting_is_named_with_its_line() {
    let twofold = Twofold::new();
    twofold.file("twofold.toml", "partitions = 4\n\n[updater]\nbatch_record = 7\n");
    let (code, stderr) = twofold.fails(&["--config", "twofold.toml", "status"]);
    assert_eq!(code, 64);
    assert!(stderr.contains("twofold.toml:4") && stderr.contains("batch_records"), "{stderr}");
}

#[test]
fn a_model_that_nobody_defined_is_a_wrong_setting() {
    let twofold = Twofold::new();
    twofold.file("twofold.toml", "[service]\nmodel = \"nope\"\n");
    let (code, stderr) =
        twofold.fails(&["--config", "twofold.toml", "up", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("`nope`") && stderr.contains("service.model"), "{stderr}");
}

#[test]
fn a_settings_file_that_is_no_toml_is_named_with_its_line() {
    let twofold = Twofold::new();
    twofold.file("twofold.toml", "partitions = 4\nstore = embedded\n");
    let (code, stderr) = twofold.fails(&["--config", "twofold.toml", "status"]);
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("twofold.toml:2"), "{stderr}");
}

#[test]
fn a_wrong_environment_is_named_with_what_was_expected() {
    let twofold = Twofold::new();
    for (name, value, expected) in [
        ("TWOFOLD_UPDATER_BATCH_RECORD", "7", "TWOFOLD_UPDATER_BATCH_RECORDS"),
        ("TWOFOLD_UPDATER_BATCH_RECORDS", "many", "a whole number"),
        ("TWOFOLD_UPDATER_BATCH_RECORDS", "0", "give at least 1"),
        ("TWOFOLD_STORE", "embeded", "`embedded`"),
        ("TWOFOLD_SERVICE_SERVED_TOPIC", "clickstream", "the source `clickstream`"),
        ("TWOFOLD_SERVICE_CURSOR_KEY", "", "is empty"),
        (
            "TWOFOLD_TELEMETRY_FORMAT",
            "loud",
            "`telemetry.format` is refused: unknown variant `loud`",
        ),
        (
            "TWOFOLD_TELEMETRY_FILTER",
            "a=loud",
            "`telemetry.filter` is \"a=loud\", which is no list",
        ),
    ] {
        let output = twofold.command(&["status"]).env(name, value).output().unwrap();
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{name}: {stderr}");
        assert!(stderr.contains(&format!("environment variable {name}")), "{stderr}");
        assert!(stderr.contains(expected), "{name}: {expected}: {stderr}");
    }
}

#[test]
fn a_wrong_expression_is_named_with_its_line_and_what_was_meant() {
    let twofold = Twofold::new();
    let group = shop(&twofold).join("groups/item_attributes.toml");
    let good = std::fs::read_to_string(&group).unwrap();
    let wrong = good.replace("value = \"price_cents\"", "value = \"prise_cents\"");
    let line = 1 + wrong.lines().position(|line| line.contains("prise_cents")).unwrap();
    std::fs::write(&group, wrong).unwrap();
    let (code, stderr) = twofold.fails(&["check", "definitions"]);
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains(&format!("item_attributes.toml:{line}")), "{stderr}");
    assert!(stderr.contains("`price_cents`"), "what was meant: {stderr}");
    let (code, stderr) = twofold.fails(&["check", "nowhere"]);
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("nowhere"), "{stderr}");
}

/// A copy of the shop's definitions, to be broken.
fn shop(twofold: &Twofold) -> std::path::PathBuf {
    let shop = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../feature-definitions");
    let definitions = twofold.path("definitions");
    copy_into(&shop, &definitions);
    definitions
}

#[test]
fn a_topic_that_cannot_be_a_sources_is_named_with_its_line() {
    for (topic, expected) in [
        ("late", "updater.late_topic"),
        ("dead-letter", "updater.dead_letter_topic"),
        ("served", "service.served_topic"),
        ("impressions", "what clients say was seen"),
        ("click stream", "a-z A-Z 0-9 . _ -"),
        ("catalog", "source `catalog`"),
    ] {
        let twofold = Twofold::new();
        let source = shop(&twofold).join("sources/clickstream.toml");
        let good = std::fs::read_to_string(&source).unwrap();
        let wrong = good.replace("topic = \"clickstream\"", &format!("topic = \"{topic}\""));
        let line = 1 + wrong.lines().position(|line| line.starts_with("topic")).unwrap();
        std::fs::write(&source, wrong).unwrap();
        let (code, stderr) = twofold.fails(&["check", "definitions"]);
        assert_eq!(code, 64, "{topic}: {stderr}");
        assert!(stderr.contains(&format!("clickstream.toml:{line}: ")), "{topic}: {stderr}");
        assert!(stderr.contains(expected), "{topic}: {stderr}");
        assert!(stderr.contains("expected") || stderr.contains("name another"), "{stderr}");
    }
}

#[test]
fn a_definition_that_is_no_file_is_named_and_not_waited_for() {
    for kind in ["pipe", "directory", "dangling link"] {
        let twofold = Twofold::new();
        let path = shop(&twofold).join("groups/more.toml");
        match kind {
            "pipe" => {
                let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
                assert!(made.success());
            }
            "directory" => std::fs::create_dir(&path).unwrap(),
            _ => std::os::unix::fs::symlink("nowhere.toml", &path).unwrap(),
        }
        let (code, stderr) = twofold.fails(&["check", "definitions"]);
        assert_eq!(code, 64, "{kind}: {stderr}");
        assert!(stderr.contains("groups/more.toml"), "{kind}: {stderr}");
    }
    // A link to a definition is one.
    let twofold = Twofold::new();
    let definitions = shop(&twofold);
    std::fs::rename(definitions.join("groups/user_activity.toml"), twofold.path("elsewhere"))
        .unwrap();
    let link = definitions.join("groups/user_activity.toml");
    std::os::unix::fs::symlink(twofold.path("elsewhere"), link).unwrap();
    twofold.json(&["check", "definitions"]);
}

#[test]
fn a_damaged_archive_is_named_with_the_remedy() {
    let (twofold, _) = trained();
    let mut folders = vec![twofold.path("twofold-data/archive/clickstream")];
    let mut parquet = None;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|e| e == "parquet") => parquet = Some(path),
                false => {}
            }
        }
    }
    let parquet = parquet.unwrap();
    let mut bytes = std::fs::read(&parquet).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&parquet, bytes).unwrap();
    let name = parquet.file_name().unwrap().to_str().unwrap();
    for command in ["backfill", "train"] {
        let (code, stderr) = twofold.fails(&with(&[command]));
        assert_eq!(code, 65, "{command}: {stderr}");
        assert!(stderr.contains(name) && stderr.contains("twofold archive"), "{stderr}");
    }
}

#[test]
fn a_wrong_definition_is_named_with_its_line() {
    let twofold = Twofold::new();
    let groups = twofold.path("definitions/groups");
    std::fs::create_dir_all(&groups).unwrap();
    std::fs::write(groups.join("g.toml"), "[group]\nname = \"g\"\nentiti = \"visitor\"\n").unwrap();
    let (code, stderr) = twofold.fails(&["check", "definitions"]);
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("g.toml:3") && stderr.contains("entity"), "{stderr}");
}

#[test]
fn the_repositorys_definitions_and_examples_hold() {
    let checked = Twofold::new().json(&["check"]);
    assert_eq!(checked["failures"].as_array().unwrap().len(), 0, "{checked}");
    assert!(checked["examples"].as_u64().unwrap() > 0, "{checked}");
}

#[test]
fn missing_data_ends_with_65() {
    let twofold = Twofold::new();
    let (code, stderr) = twofold.fails(&["import", "taobao", "missing.csv"]);
    assert_eq!(code, 65);
    assert!(stderr.contains("missing.csv"), "{stderr}");
}

#[test]
fn what_goes_wrong_is_said_once_and_without_colours() {
    let twofold = Twofold::new();
    let mut command = twofold.command(&["import", "taobao", "missing.csv"]);
    let said = text(&command.env_remove("NO_COLOR").output().unwrap().stderr);
    assert_eq!(said.matches("os error 2").count(), 1, "{said}");
    let said = text(&twofold.output(&["--config", "missing.toml", "status"]).stderr);
    assert_eq!(said.matches("os error 2").count(), 1, "{said}");
    let file = twofold.file("shop.csv", "what is this\n");
    let mut command = twofold.command(&["import", "taobao", file.to_str().unwrap()]);
    let said = text(&command.env_remove("NO_COLOR").output().unwrap().stderr);
    assert!(said.contains("malformed") && !said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn help_is_no_error() {
    assert!(Twofold::new().output(&["--help"]).status.success());
}

/// Commands that look, or that work on what others made, make nothing of a name that was mistyped.
#[test]
fn a_mistyped_data_directory_is_refused_and_not_made() {
    let twofold = Twofold::new();
    for command in [
        &["status"][..],
        &["parity"],
        &["topics", "list"],
        &["topics", "check"],
        &["archive"],
        &["lanes", "list"],
        &["bootstrap"],
        &["backfill"],
        &["train"],
        &["models", "list"],
        &["models", "rollback"],
        &["bench", "serve"],
    ] {
        let (code, stderr) = twofold.fails(&[&["--data", "mistyped"], command].concat());
        assert_eq!(code, 64, "{command:?}: {stderr}");
        assert!(stderr.contains("mistyped") && stderr.contains("--data"), "{command:?}: {stderr}");
        assert!(!twofold.path("mistyped").exists(), "{command:?}");
    }
    twofold.file("mine.txt", "mine");
    for command in [&["status"][..], &["update", "--drain"], &["topics", "create"]] {
        let (code, stderr) = twofold.fails(&[&["--data", "mine.txt"], command].concat());
        assert_eq!(code, 64, "{command:?}: {stderr}");
        assert!(stderr.contains("mine.txt is no directory"), "{command:?}: {stderr}");
    }
    twofold.fails(&["up", "--listen", "nowhere"]);
    assert!(!twofold.path("twofold-data").exists(), "nothing is made for an address that is none");
    let output = twofold.command(&["status"]).env("TWOFOLD_DATA", "").output().unwrap();
    assert_eq!(output.status.code(), Some(64), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("TWOFOLD_DATA"), "{}", text(&output.stderr));
}

/// `twofold … | head` is no failure, and no backtrace.
#[test]
fn a_reader_that_has_gone_ends_the_command_quietly() {
    let twofold = Twofold::new();
    let mut command = twofold.command(&["bench", "fold", "--events", "20000"]);
    let mut running = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(running.stdout.take());
    let output = running.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
}

/// Nor does a service end because of it: who watches it would take that for its own wish.
#[test]
fn a_service_that_nobody_reads_goes_on_until_it_is_told_to_stop() {
    let twofold = Twofold::new();
    let log = twofold.path("up.log");
    let mut command = twofold.command(&["up", "--listen", "127.0.0.1:0"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer).stderr(std::fs::File::create(&log).unwrap());
    let mut up = Running(command.spawn().unwrap());
    let said = || std::fs::read_to_string(&log).unwrap();
    for _ in 0..300 {
        if said().contains("nobody reads stdout") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(said().contains("nobody reads stdout"), "{}", said());
    assert_eq!(up.0.try_wait().unwrap(), None, "{}", said());
    up.terminate();
}

/// Nor does it make a success of what failed.
#[test]
fn a_reader_that_has_gone_hides_no_failure() {
    let twofold = Twofold::new();
    let deaf = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = twofold.command(arguments).stdout(writer).output().unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let file = twofold.file("shop.csv", "what is this\n");
    let (code, stderr) = deaf(&["import", "taobao", file.to_str().unwrap()]);
    assert_eq!(code, Some(65), "{stderr}");
    assert!(stderr.contains("nothing was appended"), "{stderr}");
    let examples = shop(&twofold).join("groups/user_activity.examples.toml");
    let good = std::fs::read_to_string(&examples).unwrap();
    std::fs::write(&examples, good.replace("views_7d = ", "views_7d = 9")).unwrap();
    for arguments in [&["check", "definitions"][..], &["check", "definitions", "--json"]] {
        let (code, stderr) = deaf(arguments);
        assert_eq!(code, Some(64), "{stderr}");
        assert!(stderr.contains("golden values differ"), "{stderr}");
    }
    assert_eq!(deaf(&["topics", "list"]).0, Some(0), "what was good stays so");
}

#[test]
fn the_settings_that_are_listed_are_a_settings_file() {
    let twofold = Twofold::new();
    twofold.file("twofold.toml", "partitions = 7\n[service]\ncursor_key = \"hush\"\n");
    let listed = twofold.output(&with(&["settings"]));
    let listed = text(&listed.stdout);
    assert!(listed.contains("partitions = 7"), "{listed}");
    assert!(listed.contains("# Set by twofold.toml:1; default: 4"), "{listed}");
    assert!(listed.contains("cursor_key") && !listed.contains("hush"), "{listed}");
    twofold.file("listed.toml", &listed);
    let again = twofold.json(&["--config", "listed.toml", "settings"]);
    let settings = again["settings"].as_array().unwrap();
    let partitions = settings.iter().find(|entry| entry["key"] == "partitions").unwrap();
    assert_eq!((&partitions["value"], &partitions["default"]), (&7.into(), &4.into()));
    assert_eq!(partitions["variable"], "TWOFOLD_PARTITIONS");
    assert!(settings.iter().all(|entry| !entry["doc"].as_str().unwrap().is_empty()));
}
