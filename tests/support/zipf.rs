//! Ranks by Zipf's law with exponent 1: few merchants make most of the traffic.

/// A sequence of ranks.
pub struct Zipf {
    cumulative: Vec<f64>,
    state: u64,
}

impl Zipf {
    /// Over so many of them; each seed has a sequence of its own.
    pub fn over(ranks: usize, seed: u64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: u32| {
            sum += 1.0 / f64::from(rank);
            sum
        };
        Self {
            cumulative: (1..).take(ranks).map(weight).collect(),
            state: seed,
        }
    }

    /// The next rank, from 0; the same ones in every run.
    pub fn draw(&mut self) -> usize {
        // Knuth's MMIX generator; its upper half is even enough for this.
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let total = self.cumulative.last().copied().unwrap_or_default();
        let upper = u32::try_from(self.state >> 32).unwrap_or_default();
        let at = total * f64::from(upper) / f64::from(u32::MAX);
        let rank = self.cumulative.partition_point(|sum| *sum < at);
        rank.min(self.cumulative.len() - 1)
    }
}
