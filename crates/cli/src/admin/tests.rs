//! The owner against clients that do not behave.

use std::path::Path;
use std::sync::Arc;

use clap::Parser as _;
use runtime::clock::Clock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::protocol::{CALL_BYTES_MAX, Realm, VERSION};
use super::server::{CLIENTS_MAX, beside};
use super::{Request, client};
use crate::args::Cli;
use crate::command::Context;
use crate::follower::Follower;
use crate::output::Output;
use crate::settings;

fn context(data: &Path) -> Context {
    let data = data.to_str().unwrap();
    let global = Cli::try_parse_from(["twofold", "--data", data, "status"]).unwrap().global;
    let loaded = Arc::new(settings::load(&global, None).unwrap());
    let settings = loaded.settings.clone();
    let (clock, output) = (Clock::system(), Output::new(true, true));
    Context { global, settings, loaded, output, clock, follower: Follower::Here }
}

async fn connect(data: &Path) -> UnixStream {
    UnixStream::connect(data.join("admin.sock")).await.unwrap()
}

/// All that is said to these bytes.
async fn answers(data: &Path, bytes: &[u8]) -> Vec<Value> {
    let mut stream = connect(data).await;
    // It may have heard enough before the end.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    // Closed with bytes that it did not read, which the system calls a reset.
    let _ = stream.read_to_end(&mut answer).await;
    let lines = answer.split_inclusive(|byte| *byte == b'\n');
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// What these bytes come to.
async fn answer(data: &Path, bytes: &[u8]) -> Value {
    answers(data, bytes).await.pop().unwrap()
}

fn refusal(answer: &Value) -> (&str, u64) {
    let failed = &answer["failed"];
    (failed["message"].as_str().unwrap(), failed["code"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_behave_are_told_and_bounded() {
    let root = tempfile::tempdir().unwrap();
    let data = &std::fs::canonicalize(root.path()).unwrap();
    let context = context(data);
    let definitions = context.definitions().unwrap();
    let opened = context.open(&definitions).await.unwrap();
    let work = async {
        let nonsense = answer(data, b"status\n").await;
        assert!(refusal(&nonsense).0.contains("expected one line of JSON"), "{nonsense}");
        let later = answer(data, b"{\"version\":9,\"please\":1}\n").await;
        assert!(refusal(&later).0.contains("version 9"), "{later}");
        let long = answer(data, &vec![b' '; CALL_BYTES_MAX + 1]).await;
        assert!(refusal(&long).0.contains("longer than"), "{long}");
        let realm = Realm::of(&context, &definitions).unwrap();
        let call = |realm: Value, request: Value| {
            let call = json!({ "version": VERSION, "realm": realm, "request": request });
            format!("{call}\n").into_bytes()
        };
        let realm = serde_json::to_value(&realm).unwrap();
        let topics = || json!({ "topics": { "create": false, "check": false } });
        let unknown = answer(data, &call(realm.clone(), json!("sing"))).await;
        assert!(refusal(&unknown).0.contains("sing"), "{unknown}");
        for (field, value) in [("store", "redis://r"), ("data", "/"), ("definitions", "00")] {
            let mut other = realm.clone();
            other[field] = value.into();
            let other = answer(data, &call(other, json!("archive"))).await;
            assert_eq!(refusal(&other).1, 64, "{other}");
            assert!(refusal(&other).0.contains(field), "{other}");
        }
        let good = answer(data, &call(realm.clone(), topics())).await;
        assert!(good["done"]["json"].as_str().unwrap().contains("clickstream"), "{good}");

        let mut other = realm.clone();
        other["settings"] = "00".into();
        let noted = answers(data, &call(other, topics())).await;
        assert!(noted[0]["note"].as_str().unwrap().contains("settings"), "{noted:?}");
        assert_eq!(noted.last(), Some(&good), "the owner's settings hold");

        // Silent ones take every seat; whoever comes then is told, and served when one has gone.
        let mut silent = Vec::new();
        for _ in 0..CLIENTS_MAX {
            silent.push(connect(data).await);
        }
        let status = Request::Status { digest: true };
        let ask = || client::ask(&context, &definitions, &status);
        let busy = ask().await.unwrap_err();
        assert!(runtime::exit::message(&busy).contains("8 commands"), "{busy:#}");
        silent.pop();
        while ask().await.is_err() {}
        // The others are still silent when the owner's work ends.
        Ok(silent)
    };
    let silent = beside(&context, &opened, &definitions, work).await.unwrap();
    drop(silent);
    assert!(!data.join("admin.sock").exists());
    assert!(
        client::ask(&context, &definitions, &Request::Topics { create: false, check: false })
            .await
            .unwrap()
            .is_none()
    );
}
