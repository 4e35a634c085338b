use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

type Names = Arc<Mutex<HashSet<&'static str>>>;

/// Parts of a database that only one may hold, such as the log, whose writer counts offsets.
#[derive(Default)]
pub(crate) struct Roles {
    taken: Names,
}

/// A part of a database, held until this is dropped.
pub struct Role {
    name: &'static str,
    taken: Names,
}

impl Roles {
    pub(crate) fn take(&self, name: &'static str) -> Option<Role> {
        let new = self.taken.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        new.then(|| Role { name, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_one_holders_until_it_is_dropped() {
        let roles = Roles::default();
        let held = roles.take("log").unwrap();
        assert!(roles.take("log").is_none());
        assert!(roles.take("store").is_some());
        drop(held);
        assert!(roles.take("log").is_some());
    }
}
