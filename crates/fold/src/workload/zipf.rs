/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform below `bound`, near enough for a load.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub(super) fn one_in(&mut self, count: u64) -> bool {
        count > 0 && self.below(count) == 0
    }
}

/// Zipf's law over `0..size`: `P(k) ∝ (k + 1)^−exponent`.
#[derive(Debug)]
pub(super) struct Zipf {
    /// Cumulative, scaled to 1.
    cumulative: Vec<f64>,
}

impl Zipf {
    pub(super) fn new(size: usize, exponent: f64) -> Self {
        let mut total = 0.0;
        let weight = |k: usize| {
            total += libm::pow(k as f64, -exponent);
            total
        };
        let mut cumulative: Vec<f64> = (1..=size.max(1)).map(weight).collect();
        cumulative.iter_mut().for_each(|sum| *sum /= total);
        Self { cumulative }
    }

    pub(super) fn draw(&self, random: &mut Random) -> usize {
        let uniform = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        let drawn = self.cumulative.partition_point(|sum| *sum <= uniform);
        drawn.min(self.cumulative.len() - 1)
    }
}
