use embedded::SyncMode;
use proptest::prelude::*;

use crate::harness::Directory;
use crate::model;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_store_is_a_map_per_partition(operations in model::operations()) {
        model::check(&Directory::new(SyncMode::Always, false), operations);
    }
}
