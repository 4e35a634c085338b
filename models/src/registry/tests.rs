use super::*;
use crate::bundle::tests::draft;

#[test]
fn publishes_lists_rolls_back_and_activates() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::at(root.path().join("models"));
    let (first, expected) = draft(1);
    assert_eq!(registry.active().unwrap(), Active::default());
    assert!(matches!(registry.load_active(&expected), Err(Error::NoActive)));
    let a = registry.publish(&first, &expected, 10).unwrap();
    assert!(matches!(registry.rollback(&expected), Err(Error::NoEarlier)));
    let b = registry.publish(&draft(2).0, &expected, 20).unwrap();
    assert_ne!(a, b);
    let active = registry.active().unwrap();
    assert_eq!((active.generation, active.digest()), (2, Some(b.as_str())));
    assert_eq!(registry.load_active(&expected).unwrap().digest, b);
    assert_eq!(registry.rollback(&expected).unwrap(), a);
    assert_eq!(registry.active().unwrap().generation, 3);
    assert_eq!(registry.load_active(&expected).unwrap().digest, a);
    assert_eq!(registry.activate(&b[..8], &expected, 30).unwrap(), b);
    let list = registry.list().unwrap();
    assert_eq!(list.len(), 2);
    assert!(list.iter().all(|e| e.manifest.is_ok() && e.active == (e.digest == b)));
    // Publishing what is active already is no swap.
    registry.publish(&draft(2).0, &expected, 40).unwrap();
    assert_eq!(registry.active().unwrap().generation, 4);
}

#[test]
fn the_list_is_newest_first() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::at(root.path());
    let (first, expected) = draft(1);
    let created = |at_us: i64| Draft { created_at_us: at_us, ..first.clone() };
    // Neither the order of publishing nor that of the digests.
    let times = [20, 50, 10, 40, 30, -1];
    let publish = |at_us: &i64| registry.publish(&created(*at_us), &expected, 0).unwrap();
    let digests: Vec<String> = times.iter().map(publish).collect();
    fs::write(registry.dir(&digests[4]).join("manifest.json"), b"torn").unwrap();
    let list = registry.list().unwrap();
    let found: Vec<&str> = list.iter().map(|entry| entry.digest.as_str()).collect();
    let newest_first = [1, 3, 0, 2, 5, 4].map(|at: usize| digests[at].as_str());
    assert_eq!(found, newest_first, "and the damaged one last");
}

#[test]
fn a_bad_bundle_is_refused_and_the_old_one_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::at(root.path());
    let (good, expected) = draft(1);
    let a = registry.publish(&good, &expected, 10).unwrap();
    let before = registry.active().unwrap();
    let mut wrong = draft(2).0;
    wrong.golden.scores[0] += 1.0;
    let error = registry.publish(&wrong, &expected, 20).unwrap_err();
    assert!(matches!(error, Error::Bundle(bundle::Error::Golden { .. })), "{error}");
    let mut foreign = draft(2).0;
    foreign.definition_hash = "f".repeat(64);
    let error = registry.publish(&foreign, &expected, 20).unwrap_err();
    assert!(matches!(error, Error::Bundle(bundle::Error::Definition { .. })), "{error}");
    let elsewhere = root.path().join("elsewhere");
    draft(2).0.write(&elsewhere).unwrap();
    let weights = elsewhere.join("ranker.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&weights, &bytes).unwrap();
    let error = registry.import(&elsewhere, &expected, 20).unwrap_err();
    assert!(matches!(error, Error::Bundle(bundle::Error::Checksum { .. })), "{error}");
    assert_eq!(registry.active().unwrap(), before);
    assert_eq!(registry.list().unwrap().len(), 1, "a refused bundle is not kept");
    assert_eq!(registry.load_active(&expected).unwrap().digest, a);
    bytes[last] ^= 1;
    fs::write(&weights, &bytes).unwrap();
    let b = registry.import(&elsewhere, &expected, 20).unwrap();
    assert_eq!(registry.active().unwrap().digest(), Some(b.as_str()));
}

#[test]
fn a_copy_with_a_bent_manifest_is_refused_and_a_whole_one_needs_no_seal_in_the_registry() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::at(root.path().join("models"));
    let (good, expected) = draft(1);
    let a = registry.publish(&good, &expected, 10).unwrap();
    let before = registry.active().unwrap();
    let copy = root.path().join("copy");
    let b = draft(2).0.write(&copy).unwrap();
    let manifest = copy.join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap();
    for (was, now) in [("\"seed\": 2", "\"seed\": 3"), ("\"model\": \"r", "\"model\": \"s")] {
        let bent = text.replace(was, now);
        assert_ne!(bent, text);
        fs::write(&manifest, bent).unwrap();
        let error = registry.import(&copy, &expected, 20).unwrap_err();
        assert!(matches!(error, Error::Bundle(bundle::Error::Seal { .. })), "{error}");
        assert_eq!(registry.active().unwrap(), before);
    }
    fs::write(&manifest, text).unwrap();
    assert_eq!(registry.import(&copy, &expected, 20).unwrap(), b);
    // A registry from before there was such a file, and a bundle that is copied out of it by its name.
    for digest in [&a, &b] {
        fs::remove_file(registry.dir(digest).join(SEAL)).unwrap();
    }
    assert_eq!(registry.rollback(&expected).unwrap(), a);
    let other = Registry::at(root.path().join("other"));
    assert_eq!(other.import(&registry.dir(&b), &expected, 30).unwrap(), b);
    assert!(other.dir(&b).join(SEAL).exists(), "and can be copied on from there");
}

#[test]
fn what_is_published_is_for_a_model_that_there_is() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::at(root.path().join("models"));
    let (good, expected) = draft(1);
    let a = registry.publish(&good, &expected, 10).unwrap();
    let before = registry.active().unwrap();
    let stranger = Draft { model: "x".to_owned(), ..good };
    let elsewhere = root.path().join("elsewhere");
    stranger.write(&elsewhere).unwrap();
    let refusals = [
        registry.publish(&stranger, &expected, 20).unwrap_err(),
        registry.import(&elsewhere, &expected, 20).unwrap_err(),
    ];
    for error in refusals {
        assert!(matches!(error, Error::Bundle(bundle::Error::Model { .. })), "{error}");
        let text = error.to_string();
        assert!(text.contains("model `x`") && text.contains("other, ranker"), "{text}");
        assert_eq!(registry.active().unwrap(), before);
        assert_eq!(registry.list().unwrap().len(), 1, "it is not kept");
    }
    // Definitions that have named it otherwise since: what serves goes on, none becomes active anew.
    let renamed = Expectation { models: vec!["other".to_owned()], ..expected };
    assert_eq!(registry.load_active(&renamed).unwrap().digest, a);
    assert!(registry.activate(&a, &renamed, 30).is_err());
}

#[test]
fn rolling_back_to_a_damaged_bundle_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::at(root.path());
    let (first, expected) = draft(1);
    let a = registry.publish(&first, &expected, 10).unwrap();
    let b = registry.publish(&draft(2).0, &expected, 20).unwrap();
    fs::remove_file(registry.dir(&a).join("items.json")).unwrap();
    let error = registry.rollback(&expected).unwrap_err();
    assert!(matches!(error, Error::Bundle(bundle::Error::Missing { .. })), "{error}");
    assert_eq!(registry.active().unwrap().digest(), Some(b.as_str()));
}

#[test]
fn what_a_crash_leaves_is_ignored() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::at(root.path());
    let (first, expected) = draft(1);
    let (digest, _) = first.files();
    // A crash while the bundle was written, and one while the pointer was.
    fs::create_dir_all(root.path().join("bundles").join(format!(".staged-{digest}"))).unwrap();
    fs::write(root.path().join("active.staged"), b"{\"gener").unwrap();
    assert!(registry.list().unwrap().is_empty());
    assert_eq!(registry.publish(&first, &expected, 10).unwrap(), digest);
    assert_eq!(registry.load_active(&expected).unwrap().digest, digest);
    fs::write(root.path().join("active.json"), b"{\"gener").unwrap();
    assert!(matches!(registry.active(), Err(Error::Pointer { .. })));
    registry.activate(&digest, &expected, 20).unwrap();
    assert_eq!(registry.load_active(&expected).unwrap().digest, digest, "the remedy helps");
}

#[test]
fn an_unknown_digest_names_what_there_is() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::at(root.path());
    let (first, expected) = draft(1);
    let a = registry.publish(&first, &expected, 10).unwrap();
    for wanted in ["ffff0000", "", "../../x", &a[..3]] {
        let error = registry.activate(wanted, &expected, 20).unwrap_err();
        assert!(matches!(&error, Error::Unknown { known, .. } if *known == [a.clone()]), "{error}");
    }
}

#[test]
fn a_pointer_that_is_gone_or_names_no_bundle_is_told() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::at(root.path());
    let (first, expected) = draft(1);
    assert_eq!(registry.lost_pointer().unwrap(), None, "there is nothing to point to");
    let a = registry.publish(&first, &expected, 10).unwrap();
    let b = registry.publish(&draft(2).0, &expected, 20).unwrap();
    assert_eq!(registry.lost_pointer().unwrap(), None);
    fs::remove_dir_all(registry.dir(&b)).unwrap();
    let error = registry.load_active(&expected).unwrap_err();
    assert!(matches!(&error, Error::Gone { digest, .. } if *digest == b), "{error}");
    for said in ["active.json", &a, &b] {
        assert!(error.to_string().contains(said), "{said}: {error}");
    }
    fs::remove_file(root.path().join("active.json")).unwrap();
    assert_eq!(registry.lost_pointer().unwrap(), Some(root.path().join("active.json")));
}
