mod as_opened_by_default {
    use crate::harness::Directory;
    use embedded::SyncMode;

    online_store::online_store_conformance!(Directory::new(SyncMode::Always, false));
}

mod with_durable_commits {
    use crate::harness::Directory;
    use embedded::SyncMode;

    online_store::online_store_conformance!(Directory::new(SyncMode::Always, true));
}

mod in_a_private_realm {
    use crate::harness::Directory;
    use embedded::SyncMode;

    online_store::online_store_conformance!(Directory::new(SyncMode::Never, false));
}
