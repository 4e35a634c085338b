use crate::harness::Directory;

event_log::event_log_conformance!(Directory::new());
