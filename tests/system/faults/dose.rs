//! How much of it, and from which seed.

/// Name of the variable that asks for the full dose.
const DOSE: &str = "FAULTS_DOSE";
/// Name of the variable that gives another seed.
const SEED: &str = "FAULTS_SEED";

fn said(variable: &str) -> String {
    #[allow(clippy::disallowed_methods, reason = "who runs the tests says how long they may take")]
    std::env::var(variable).unwrap_or_default()
}

/// `short`, or `full` where the variable says so.
pub(super) fn dose<T>(short: T, full: T) -> T {
    match said(DOSE).as_str() {
        "" | "short" => short,
        "full" => full,
        other => panic!("{DOSE}={other}: expected `short` or `full`"),
    }
}

/// The test's own seed, unless the variable gives another.
pub(super) fn seed(own: u64) -> u64 {
    match said(SEED).as_str() {
        "" => own,
        given => given.parse().unwrap_or_else(|_| panic!("{SEED}={given}: expected a number")),
    }
}
