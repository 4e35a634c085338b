//! Exit codes, and errors that say what to do.

use crate::twofold::Twofold;

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
fn help_is_no_error() {
    assert!(Twofold::new().output(&["--help"]).status.success());
}
