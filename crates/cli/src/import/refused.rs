//! What is said of lines that became dead letters: the first few of each reason, then how many more.

use std::collections::BTreeMap;

use super::DeadLetter;
use crate::follower::Follower;

/// Lines of one reason that are named; a file in another format would fill the log.
const NAMED_MAX: u64 = 5;

/// Tells this process's log and who follows; the dead letters by reason.
pub(crate) fn tell(
    dead_letters: &[DeadLetter],
    follower: &Follower,
) -> BTreeMap<&'static str, u64> {
    let mut reasons = BTreeMap::new();
    for letter in dead_letters {
        let count: &mut u64 = reasons.entry(letter.reason).or_default();
        *count += 1;
        if *count > NAMED_MAX {
            continue;
        }
        let DeadLetter { file, line, reason, detail, .. } = letter;
        tracing::warn!(file, line, reason, "{detail}");
        follower.note(|| format!("{file} line {line}: {reason}: {detail}"));
    }
    for (reason, count) in &reasons {
        if let more @ 1.. = count.saturating_sub(NAMED_MAX) {
            tracing::warn!(reason, more, "more lines like these");
            follower.note(|| format!("{reason}: {more} more lines like these"));
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_bad_lines_says_a_bounded_number_of_them() {
        let letter = |line: u64| DeadLetter {
            id: format!("d:{line}"),
            file: "shop.csv".to_owned(),
            line,
            reason: if line.is_multiple_of(2) { "malformed" } else { "wrong_type" },
            detail: "so".to_owned(),
            original: String::new(),
        };
        let letters: Vec<DeadLetter> = (1..=1001).map(letter).collect();
        let (follower, mut followed) = Follower::away();
        let reasons = tell(&letters, &follower);
        assert_eq!(reasons, [("malformed", 500), ("wrong_type", 501)].into());
        let mut notes = Vec::new();
        while let Ok(note) = followed.notes.try_recv() {
            notes.push(note);
        }
        assert_eq!(notes.len(), 2 * NAMED_MAX as usize + 2, "{notes:?}");
        assert_eq!(notes[0], "shop.csv line 1: wrong_type: so");
        assert_eq!(notes[10], "malformed: 495 more lines like these");
    }
}
