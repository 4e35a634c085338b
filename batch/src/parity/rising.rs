//! Which versions of the item table one pass over the log can be read at.

use record::Offset;

type Version = Vec<Offset>;

/// The versions, each once and ascending, of the largest part of `seen` that rises in every partition: as
/// few of what was seen are left out as can be, whichever of them went back.
pub(super) fn rising(mut seen: Vec<Version>) -> Vec<Version> {
    seen.sort();
    let mut versions: Vec<(Version, u64)> = Vec::new();
    for version in seen {
        match versions.last_mut() {
            Some((last, times)) if *last == version => *times += 1,
            _ => versions.push((version, 1)),
        }
    }
    // Only between versions that all others lie wholly before or after is there anything to choose, so
    // the search, which grows with the square, is over few of them.
    let mut rising = Vec::with_capacity(versions.len());
    for length in blocks(&versions) {
        let rest = versions.split_off(length);
        rising.extend(heaviest_chain(std::mem::replace(&mut versions, rest)));
    }
    rising
}

fn is_before(a: &[Offset], b: &[Offset]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b)
}

/// Lengths of the shortest runs such that all of a run lies before all of the next one.
fn blocks(versions: &[(Version, u64)]) -> Vec<usize> {
    let mut least_after: Vec<Version> =
        versions.iter().map(|(version, _)| version.clone()).collect();
    for at in (1..least_after.len()).rev() {
        let (before, after) = least_after.split_at_mut(at);
        let least = before[at - 1].iter_mut().zip(&after[0]);
        least.for_each(|(least, other)| *least = *(&*least).min(other));
    }
    let (mut lengths, mut length) = (Vec::new(), 0);
    let mut greatest: Version = Vec::new();
    for (at, (version, _)) in versions.iter().enumerate() {
        length += 1;
        match greatest.is_empty() {
            true => greatest.clone_from(version),
            false => {
                let both = greatest.iter_mut().zip(version);
                both.for_each(|(greatest, other)| *greatest = *(&*greatest).max(other));
            }
        }
        if least_after.get(at + 1).is_none_or(|least| is_before(&greatest, least)) {
            lengths.push(length);
            length = 0;
        }
    }
    lengths
}

/// The rising versions that were seen most often in all.
fn heaviest_chain(versions: Vec<(Version, u64)>) -> Vec<Version> {
    // Per version: how often the best chain that ends there was seen, and the version before it.
    let mut best: Vec<(u64, Option<usize>)> = Vec::with_capacity(versions.len());
    for (at, (version, times)) in versions.iter().enumerate() {
        let before = (0..at).filter(|before| is_before(&versions[*before].0, version));
        let before = before.max_by_key(|before| best[*before].0);
        best.push((times + before.map_or(0, |before| best[before].0), before));
    }
    let mut at = (0..best.len()).max_by_key(|at| best[*at].0);
    let mut kept = vec![false; versions.len()];
    while let Some(here) = at {
        kept[here] = true;
        at = best[here].1;
    }
    versions
        .into_iter()
        .zip(kept)
        .filter(|(_, kept)| *kept)
        .map(|((version, _), _)| version)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(versions: &[[u64; 2]]) -> Vec<[u64; 2]> {
        let seen = versions.iter().map(|version| version.map(Offset).to_vec()).collect();
        rising(seen).into_iter().map(|version| [version[0].0, version[1].0]).collect()
    }

    #[test]
    fn what_rises_is_all_there_once() {
        assert_eq!(of(&[]), [[0; 2]; 0]);
        assert_eq!(of(&[[3, 3], [1, 2], [1, 1], [3, 3], [2, 2]]), [[1, 1], [1, 2], [2, 2], [3, 3]]);
    }

    #[test]
    fn one_that_went_back_takes_no_other_with_it() {
        let all: Vec<[u64; 2]> = (1..50).map(|n| [n, n]).collect();
        for stray in [[10, 3], [3, 10], [1, 49], [49, 1], [25, 20]] {
            let mut seen = all.clone();
            seen.push(stray);
            seen.reverse();
            assert_eq!(of(&seen), all, "{stray:?}");
        }
        // Two of them, in two places.
        let seen = [all.as_slice(), &[[10, 3], [40, 33]]].concat();
        assert_eq!(of(&seen), all);
    }

    #[test]
    fn the_versions_that_were_seen_most_often_stay() {
        assert_eq!(of(&[[1, 2], [2, 1], [2, 1], [5, 5]]), [[2, 1], [5, 5]]);
        assert_eq!(of(&[[1, 2], [2, 1], [1, 2], [5, 5]]), [[1, 2], [5, 5]]);
        // Two services, each with a table of its own.
        let seen: Vec<[u64; 2]> = (0..40).flat_map(|n| [[2 * n, n], [n, 2 * n]]).collect();
        assert!(of(&seen).len() >= 40, "{:?}", of(&seen));
    }
}
