//! A model meets only what it may know: training sets from the future and bundles that are not what they
//! say are refused by name, and the old bundle goes on serving.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wire::v1;
use wire::v1::recommender_client::RecommenderClient;

use crate::trained::{trained, with};
use crate::twofold::{Twofold, copy_into};

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn write(path: &Path, value: &Value) {
    std::fs::write(path, serde_json::to_vec_pretty(value).unwrap()).unwrap();
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What must be said of a manifest, and how it is bent.
type Bend<'a> = (&'a str, &'a dyn Fn(&mut Value));

fn active(twofold: &Twofold) -> Value {
    let listed = twofold.json(&with(&["models", "list"]));
    let bundles = listed["bundles"].as_array().unwrap();
    bundles.iter().find(|bundle| bundle["active"] == true).unwrap()["digest"].clone()
}

#[test]
fn train_refuses_a_set_that_knows_its_own_future() {
    let (twofold, bundle) = trained();
    // The same history is the same training set, which is not written twice: what lies there is read.
    let sets = || std::fs::read_dir(twofold.path("twofold-data/training")).unwrap();
    let is_set = |path: &PathBuf| path.join("manifest.json").exists();
    let set = sets().map(|entry| entry.unwrap().path()).find(is_set).unwrap();
    let honest = read(&set.join("manifest.json"));
    let day = honest["days"][0]["day"].as_str().unwrap().to_owned();
    let from_us = honest["days"][0]["spine_from_us"].as_i64().unwrap();
    let bends: [Bend<'_>; 3] = [
        ("was cut at", &|set| set["days"][0]["index_cut_us"] = (from_us + 1).into()),
        ("has read clickstream/0", &|set| {
            set["days"][0]["index_positions"]["clickstream/0"] = 1_000_000.into();
        }),
        ("was trained to", &|set| set["embedding"]["trained_to_us"] = from_us.into()),
    ];
    for (expected, bend) in bends {
        let mut hostile = honest.clone();
        bend(&mut hostile);
        write(&set.join("manifest.json"), &hostile);
        let (code, stderr) = twofold.fails(&with(&["train"]));
        assert_eq!(code, 65, "{stderr}");
        assert!(stderr.contains(expected), "{expected}: {stderr}");
        assert!(stderr.contains(set.to_str().unwrap().rsplit('/').next().unwrap()), "{stderr}");
        assert!(stderr.contains(&day) || expected == "was trained to", "{stderr}");
        assert!(stderr.contains("remove it"), "a remedy: {stderr}");
        assert_eq!(active(&twofold), *bundle, "the old bundle stays");
    }
    assert_eq!(sets().filter(|entry| is_set(&entry.as_ref().unwrap().path())).count(), 1);
    std::fs::remove_dir_all(&set).unwrap();
    let again = twofold.json(&with(&["train"]));
    assert_eq!(again["training_set"], set.file_name().unwrap().to_str().unwrap(), "{again}");
    assert_eq!(active(&twofold), again["bundle"], "the remedy helps");
}

/// A bundle that is not what it says, and what must be said of it.
struct Hostile {
    name: &'static str,
    expected: [&'static str; 2],
    dir: PathBuf,
}

/// Bent copies of the good bundle, each named by its own manifest, as a registry names them.
fn hostiles(twofold: &Twofold, good: &str) -> Vec<Hostile> {
    let good = twofold.path("twofold-data/models/bundles").join(good);
    let hostile = |name, expected, bend: &dyn Fn(&mut Value), flip: bool| {
        let aside = twofold.path("incoming").join(name);
        copy_into(&good, &aside);
        let mut manifest = read(&aside.join("manifest.json"));
        bend(&mut manifest);
        write(&aside.join("manifest.json"), &manifest);
        if flip {
            let weights = aside.join("ranker.safetensors");
            let mut bytes = std::fs::read(&weights).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&weights, bytes).unwrap();
        }
        let digest = sha256(&std::fs::read(aside.join("manifest.json")).unwrap());
        let sealed = format!("{digest}  manifest.json\n");
        std::fs::write(aside.join("manifest.sha256"), sealed).unwrap();
        let dir = twofold.path("incoming").join(digest);
        std::fs::rename(aside, &dir).unwrap();
        Hostile { name, expected, dir }
    };
    let again = "train it again";
    vec![
        hostile(
            "a flipped bit",
            ["ranker.safetensors", again],
            &|manifest| manifest["created_at_us"] = 1.into(),
            true,
        ),
        hostile(
            "another shape",
            ["ranker.safetensors", again],
            &|manifest| manifest["ranker"]["shape"]["hidden"] = json!([32, 8]),
            false,
        ),
        hostile(
            "another definition",
            ["eeeeeeee", "train again"],
            &|manifest| manifest["definition_hash"] = "e".repeat(64).into(),
            false,
        ),
    ]
}

#[test]
fn publish_refuses_what_is_not_what_it_says() {
    let (twofold, bundle) = trained();
    for Hostile { name, expected, dir } in hostiles(&twofold, &bundle) {
        let (code, stderr) = twofold.fails(&with(&["models", "publish", dir.to_str().unwrap()]));
        assert_eq!(code, 65, "{name}: {stderr}");
        assert!(stderr.contains(dir.to_str().unwrap()), "{name} names its place: {stderr}");
        for part in expected {
            assert!(stderr.contains(part), "{name}: {part}: {stderr}");
        }
        assert_eq!(active(&twofold), *bundle, "{name}");
    }
    let (code, stderr) = twofold.fails(&with(&["models", "publish", "0123abcd"]));
    assert_eq!(code, 65, "{stderr}");
    assert!(stderr.contains("0123abcd") && stderr.contains(&*bundle), "what there is: {stderr}");
    let good = twofold.path("twofold-data/models/bundles").join(&bundle);
    twofold.json(&with(&["models", "publish", good.to_str().unwrap()]));
}

#[test]
fn publish_refuses_a_copy_with_a_bent_manifest() {
    let (twofold, bundle) = trained();
    let copy = twofold.path("incoming/copy");
    copy_into(&twofold.path("twofold-data/models/bundles").join(&bundle), &copy);
    let manifest = copy.join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let publish = with(&["models", "publish", copy.to_str().unwrap()]);
    let refused = |expected: &[&str]| {
        let (code, stderr) = twofold.fails(&publish);
        assert_eq!(code, 65, "{stderr}");
        for part in expected {
            assert!(stderr.contains(part), "{part}: {stderr}");
        }
        assert_eq!(active(&twofold), *bundle, "the old one goes on");
    };
    let bent = text.replace("\"model\": \"", "\"model\": \"x");
    assert_ne!(bent, text);
    std::fs::write(&manifest, &bent).unwrap();
    refused(&["manifest.json", &bundle, &sha256(bent.as_bytes()), "copy or train"]);
    // By somebody who has written its checksum as well.
    let sealed = format!("{}  manifest.json\n", sha256(bent.as_bytes()));
    std::fs::write(copy.join("manifest.sha256"), sealed).unwrap();
    refused(&["is for model `x", "the definitions have", "train again"]);
    std::fs::remove_file(copy.join("manifest.sha256")).unwrap();
    refused(&["manifest.sha256 is missing", "sha256sum manifest.json"]);
    std::fs::write(&manifest, &text).unwrap();
    std::fs::write(copy.join("manifest.sha256"), format!("{bundle}  manifest.json\n")).unwrap();
    twofold.json(&publish);
}

#[test]
fn status_and_list_say_what_a_service_of_other_definitions_would_refuse() {
    let (mut twofold, bundle) = trained();
    assert_eq!(twofold.json(&with(&["status"]))["bundle_problem"], Value::Null);
    assert_eq!(twofold.json(&with(&["models", "list"]))["bundles"][0]["problem"], Value::Null);

    twofold.change_definition("groups/user_activity.toml", "limit = 64", "limit = 65");
    let listed = twofold.json(&with(&["models", "list"]));
    let listed = &listed["bundles"][0];
    let status = twofold.json(&with(&["status"]));
    let mut up = twofold.start_logged(&with(&["up", "--listen", "127.0.0.1:0"]), "up.log");
    assert!(up.address().is_some());
    let owned = twofold.json(&with(&["status"]));
    up.terminate();
    let log = std::fs::read_to_string(twofold.path("up.log")).unwrap();
    let problem = status["bundle_problem"].as_str().unwrap();
    assert!(problem.contains("was trained for definition"), "{status}");
    assert!(log.contains(problem), "what the service says: {problem}: {log}");
    assert_eq!((&listed["digest"], &listed["active"]), (&bundle.as_str().into(), &true.into()));
    assert_eq!(
        (listed["problem"].as_str(), owned["bundle_problem"].as_str()),
        (Some(problem), Some(problem))
    );
    for command in [&["status"][..], &["models", "list"]] {
        let output = twofold.output(&with(command));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(problem), "{command:?}: {text}");
    }
}

/// Puts a bundle into the registry past every check, and makes it the active one.
fn smuggle(twofold: &Twofold, dir: &Path) -> String {
    let digest = dir.file_name().unwrap().to_str().unwrap().to_owned();
    let models = twofold.path("twofold-data/models");
    copy_into(dir, &models.join("bundles").join(&digest));
    let mut active = read(&models.join("active.json"));
    active["generation"] = (active["generation"].as_u64().unwrap() + 1).into();
    active["history"].as_array_mut().unwrap().push(json!({ "digest": digest, "at_us": 1 }));
    let aside = models.join("active.aside");
    write(&aside, &active);
    std::fs::rename(aside, models.join("active.json")).unwrap();
    digest
}

async fn recommend(address: &str) -> v1::RecommendResponse {
    let mut client = RecommenderClient::connect(format!("http://{address}")).await.unwrap();
    let request = v1::RecommendRequest {
        surface: "home".to_owned(),
        visitor_id: "ann".to_owned(),
        k: 5,
        ..Default::default()
    };
    client.recommend(request).await.unwrap().into_inner()
}

/// An answer with a model's scores in it; on a busy machine the first ones may be late.
async fn scored(address: &str) -> v1::RecommendResponse {
    for _ in 0..50 {
        let answer = recommend(address).await;
        if answer.tier() == v1::Tier::Full {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never a full answer: {:?}", recommend(address).await);
}

async fn wait_for(twofold: &Twofold, log: &str, parts: &[&str]) {
    for _ in 0..1200 {
        let text = std::fs::read_to_string(twofold.path(log)).unwrap();
        if text.lines().any(|line| parts.iter().all(|part| line.contains(part))) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let text = std::fs::read_to_string(twofold.path(log)).unwrap();
    panic!("no line with {parts:?} in {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_service_refuses_it_and_the_old_one_goes_on() {
    for command in ["up", "serve"] {
        let (twofold, bundle) = trained();
        let start = with(&[command, "--listen", "127.0.0.1:0"]);
        let mut running = twofold.start_logged(&start, "first.log");
        let address = running.address().unwrap();
        assert_eq!(scored(&address).await.bundle, bundle);
        for Hostile { name, expected: [what, remedy], dir } in hostiles(&twofold, &bundle) {
            smuggle(&twofold, &dir);
            // Each is refused with words of its own; a flipped bit and another shape name the same file.
            let own = if name == "another shape" { "has shape" } else { what };
            let parts = ["bundle refused, the old one goes on", what, own, remedy];
            wait_for(&twofold, "first.log", &parts).await;
            assert_eq!(scored(&address).await.bundle, bundle, "{command}: {name}");
        }
        running.terminate();

        // A process that starts with it has no old one in memory: the last good one is in the registry.
        let mut running = twofold.start_logged(&start, "second.log");
        let address = running.address().unwrap();
        wait_for(&twofold, "second.log", &["bundle refused"]).await;
        assert_eq!(
            scored(&address).await.bundle,
            bundle,
            "{command} starts with the last good one"
        );
        running.terminate();
    }
}
