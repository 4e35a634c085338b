mod one_server {
    use crate::harness::Shared;

    online_store::online_store_conformance!(
        Shared::one(),
        #[ignore = "needs Redis: tests/run starts it"]
    );
}

mod a_cluster {
    use crate::harness::Shared;

    online_store::online_store_conformance!(
        Shared::cluster(),
        #[ignore = "needs Redis: tests/run starts it"]
    );
}
