//! A hash is the meaning: no more, no less.

use std::collections::BTreeMap;

use definitions::parse::{File, parse};

use crate::support::{changed, demo, demo_files};

fn hashes(files: &[File]) -> BTreeMap<String, [u8; 32]> {
    let definitions = parse(files).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let groups = definitions.groups.iter().map(|group| (group.name.clone(), group.hash));
    let models = definitions.models.iter().map(|model| (model.name.clone(), model.hash));
    groups.chain(models).collect()
}

const ACTIVITY: &str = "groups/user_activity.toml";

#[test]
fn comments_spelling_and_the_order_of_keys_do_not_count() {
    let before = hashes(&demo_files());
    for (path, from, to) in [
        (ACTIVITY, "# How active", "# However active"),
        (ACTIVITY, "kind = 'view'", "  KIND   =\\t( 'view' )"),
        (ACTIVITY, "kind = 'purchase'", "(kind) = 'purchase' -- that is all"),
        (ACTIVITY, "window = \"30m\"\nhop = \"1m\"", "hop = \"60s\"\nwindow = \"1800000ms\""),
        (ACTIVITY, "ttl = \"90d\"", "ttl = \"2160h\""),
        (
            "sources/clickstream.toml",
            "kind = \"string\" # view",
            "kind = { type = \"string\", optional = false } # view",
        ),
        ("models/ranker.toml", "ln(1 + item_popularity.trend)", "LN( 1 + item_popularity.trend )"),
    ] {
        assert_eq!(before, hashes(&changed(path, from, to)), "{path}: {to}");
    }
    let mut files = demo_files();
    files.reverse();
    assert_eq!(before, hashes(&files));
}

#[test]
fn every_change_of_meaning_changes_the_hashes_of_what_it_touches() {
    let before = hashes(&demo_files());
    let visitor = ["user_activity", "user_interest", "item_popularity", "ranker"];
    for (path, from, to, touched) in [
        (ACTIVITY, "kind = 'purchase'", "kind = 'cart'", &["user_activity", "ranker"][..]),
        (ACTIVITY, "scale = 2", "scale = 3", &["user_activity", "ranker"]),
        (ACTIVITY, "limit = 64", "limit = 65", &["user_activity", "ranker"]),
        (ACTIVITY, "window = \"30m\"", "window = \"31m\"", &["user_activity", "ranker"]),
        (ACTIVITY, "hop = \"1m\"", "hop = \"2m\"", &["user_activity", "ranker"]),
        (ACTIVITY, "ttl = \"90d\"", "ttl = \"91d\"", &["user_activity", "ranker"]),
        (ACTIVITY, "hop = \"1m\"", "hop = \"1m\"\ndefault = 1", &["user_activity", "ranker"]),
        (ACTIVITY, "hop = \"1m\"", "hop = \"1m\"\ndefault = 0", &["user_activity", "ranker"]),
        (ACTIVITY, "by = \"category\"", "by = \"item_id\"", &["user_activity", "ranker"]),
        (
            "groups/user_interest.toml",
            "half_life = \"30m\"",
            "half_life = \"31m\"",
            &["user_interest", "ranker"],
        ),
        ("groups/user_interest.toml", "limit = 50", "limit = 51", &["user_interest", "ranker"]),
        ("groups/user_interest.toml", "tag = \"kind\"\n", "", &["user_interest", "ranker"]),
        ("sources/clickstream.toml", "\"10m\"", "\"11m\"", &visitor),
        ("sources/clickstream.toml", "max_future = \"5m\"", "max_future = \"6m\"", &visitor),
        ("sources/clickstream.toml", "earliest = \"2010", "earliest = \"2011", &visitor),
        ("sources/clickstream.toml", "topic = \"clickstream\"", "topic = \"clicks\"", &visitor),
        (
            "sources/clickstream.toml",
            "quantity = { type = \"int64\", optional = true }",
            "quantity = \"int64\"",
            &visitor,
        ),
        (
            "sources/clickstream.toml",
            "session_id = { type = \"string\"",
            "session_id = { type = \"int64\"",
            &visitor,
        ),
        ("sources/clickstream.toml", "event_id = \"event_id\"", "event_id = \"kind\"", &visitor),
        (
            "models/ranker.toml",
            "ln(1 + item_popularity.trend)",
            "ln(2 + item_popularity.trend)",
            &["ranker"],
        ),
        ("models/ranker.toml", "name = \"item_trend\"", "name = \"trend\"", &["ranker"]),
        (
            "models/ranker.toml",
            "\"covisit\", \"sequential\"",
            "\"sequential\", \"covisit\"",
            &["ranker"],
        ),
    ] {
        let after = hashes(&changed(path, from, to));
        let different: Vec<_> =
            before.iter().filter(|(name, hash)| after[*name] != **hash).map(|(n, _)| n).collect();
        let mut touched = touched.to_vec();
        touched.sort_unstable();
        assert_eq!(different, touched, "{path}: {to}");
    }
}

/// The candidate sources read sequences, so what they say depends on a group that no input names.
#[test]
fn a_model_with_sources_means_the_sequences_that_they_read() {
    let ranker = |limit: &str, sources: &str| {
        let mut files = changed("groups/user_interest.toml", "limit = 50", limit);
        let model = files.iter_mut().find(|file| file.path == "models/ranker.toml").expect("it");
        model.text = format!(
            "[model]\nname = \"ranker\"\nsources = [{sources}]\n[[inputs]]\nname = \"a\"\nexpr = \"request.hour\"\n"
        );
        hashes(&files)["ranker"]
    };
    assert_ne!(ranker("limit = 50", "\"covisit\""), ranker("limit = 51", "\"covisit\""));
    assert_eq!(ranker("limit = 50", ""), ranker("limit = 51", ""));
}

#[test]
fn the_whole_and_the_lanes_follow_their_groups() {
    let (before, after) =
        (demo(), parse(&changed(ACTIVITY, "scale = 2", "scale = 3")).expect("good"));
    assert_ne!(before.hash(), after.hash());
    assert_eq!(before.hash(), demo().hash());
    let ids = |d: &definitions::Definitions| d.lanes().iter().map(|l| l.id).collect::<Vec<_>>();
    let (before, after) = (ids(&before), ids(&after));
    assert_eq!(before[..2], after[..2]);
    assert_ne!(before[2], after[2]);
}

/// Records can be sent to a source before any group reads it.
#[test]
fn the_whole_knows_sources_that_no_group_reads() {
    let hash = |files: &[File]| parse(files).unwrap_or_else(|mistakes| panic!("{mistakes}")).hash();
    let with_spare = |lateness: &str| {
        let mut files = demo_files();
        let catalog = files.iter().find(|file| file.path == "sources/catalog.toml").expect("it");
        let text = catalog.text.replace("\"catalog\"", "\"spare\"").replace("\"1d\"", lateness);
        files.push(File { path: "sources/spare.toml".into(), text });
        hash(&files)
    };
    assert_ne!(with_spare("\"1d\""), hash(&demo_files()));
    assert_ne!(with_spare("\"1d\""), with_spare("\"2d\""));
}

/// The hash names the version of `libm`; the lock file decides which one is linked.
#[test]
fn the_version_of_libm_is_the_locked_one() {
    let lock = include_str!("../../../../Cargo.lock");
    let package = format!("name = \"libm\"\nversion = \"{}\"\n", definitions::LIBM_VERSION);
    assert!(lock.contains(&package), "LIBM_VERSION is not the locked version of libm");
}
