//! What only the embedded store has.

use embedded::{Database, Error as Failure};
use online_store::{Embedded, Error, Settings};

/// Two stores on one database would not see each other's locks.
#[test]
fn a_second_store_on_one_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path()).unwrap();
    let store = Embedded::open(&database, Settings::default()).unwrap();
    let second = Embedded::open(&database, Settings::default()).err().expect("it is open");
    assert!(matches!(second, Error::Embedded(Failure::Taken { .. })), "{second}");
    let clone = store.clone();
    drop(store);
    assert!(Embedded::open(&database, Settings::default()).is_err(), "a clone has it");
    drop(clone);
    assert!(Embedded::open(&database, Settings::default()).is_ok());
}
