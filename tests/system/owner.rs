//! One directory, one owner.

use std::io::{BufRead, BufReader};

use crate::twofold::Twofold;

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let twofold = Twofold::new();
    let mut up = twofold.start(&["up", "--listen", "127.0.0.1:0"]);
    let mut line = String::new();
    BufReader::new(up.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert!(said["listening"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    for command in [&["update"][..], &["up", "--listen", "127.0.0.1:0"], &["serve"]] {
        let (code, stderr) = twofold.fails(command);
        assert_eq!(code, 1, "{command:?}: {stderr}");
        assert!(stderr.contains(&format!("process {}", up.0.id())), "{command:?}: {stderr}");
    }
    up.0.kill().unwrap();
    up.0.wait().unwrap();
    twofold.json(&["status"]);
}
