/// How far a long job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: &'static str,
    /// How much of it is done, in the step's own unit (records, positions, responses).
    pub done: u64,
    /// How much there is, where that is known.
    pub total: Option<u64>,
}

/// Is told how far a job is; called often, from several threads.
pub type Watch = dyn Fn(Progress) + Send + Sync;
