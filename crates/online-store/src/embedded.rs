/// The store in the data directory's embedded database.
pub struct Embedded {
    _database: ::embedded::Database,
}
