//! Which arm a unit is in: a function of salt, experiment and unit alone.

/// An arm and its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// Name, unique in the experiment.
    pub name: String,
    /// Share in relation to the other arms'.
    pub weight: u32,
}

/// An experiment: units fall into arms by hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experiment {
    /// Name; with the salt it makes assignments independent of every other experiment's.
    pub name: String,
    /// Another salt shuffles the units anew.
    pub salt: String,
    /// Arms in order.
    pub arms: Vec<Arm>,
}

impl Experiment {
    /// The arm of a unit (a visitor's id); `None` where no arm has any weight. The same on every
    /// machine and at any time; only the arms' order and weights move units between them.
    #[must_use]
    pub fn assign(&self, unit: &str) -> Option<&Arm> {
        let total: u64 = self.arms.iter().map(|arm| u64::from(arm.weight)).sum();
        let mut hasher = blake3::Hasher::new_derive_key("twofold 2026 experiment assignment v1");
        for part in [&self.salt, &self.name, unit] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let hash = hasher.finalize();
        let hash = u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("32 bytes"));
        // The high half of hash × total: no modulo bias beyond 2^-32.
        let mut place = ((u128::from(hash) * u128::from(total)) >> 64) as u64;
        self.arms.iter().find(|arm| {
            let weight = u64::from(arm.weight);
            let here = place < weight;
            place = place.saturating_sub(weight);
            here
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(salt: &str, weights: &[u32]) -> Experiment {
        let arm = |(n, weight): (usize, &u32)| Arm { name: format!("arm{n}"), weight: *weight };
        let arms = weights.iter().enumerate().map(arm).collect();
        Experiment { name: "ranker".to_owned(), salt: salt.to_owned(), arms }
    }

    fn counts(experiment: &Experiment) -> Vec<u64> {
        let mut counts = vec![0; experiment.arms.len()];
        for unit in 0..30_000 {
            let arm = experiment.assign(&format!("visitor-{unit}")).unwrap();
            let at = experiment.arms.iter().position(|other| other == arm).unwrap();
            counts[at] += 1;
        }
        counts
    }

    #[test]
    fn shares_are_the_weights() {
        let counts = counts(&experiment("s", &[1, 2, 0]));
        assert!((9_700..10_300).contains(&counts[0]), "{counts:?}");
        assert_eq!((counts[0] + counts[1], counts[2]), (30_000, 0));
        assert_eq!(experiment("s", &[0]).assign("ann"), None);
    }

    #[test]
    fn salts_are_independent_and_repeat() {
        let (a, b) = (experiment("a", &[1, 1]), experiment("b", &[1, 1]));
        let same = (0..10_000).filter(|unit| {
            let unit = unit.to_string();
            assert_eq!(a.assign(&unit), a.assign(&unit));
            a.assign(&unit).unwrap().name == b.assign(&unit).unwrap().name
        });
        let same = same.count();
        assert!((4_800..5_200).contains(&same), "{same}");
    }
}
