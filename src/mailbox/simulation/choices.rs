//! Where a schedule's decisions come from: a seed, or every sequence of decisions in turn.

/// Makes the decisions of one schedule.
pub(super) enum Choices {
    /// At random: the seed decides all of them.
    Seeded(fastrand::Rng),
    /// Depth first: what is decided next, and of how many, as far as it is known.
    Every {
        /// The decisions of this schedule.
        path: Vec<(usize, usize)>,
        /// How many of them are made.
        made: usize,
    },
}

impl Choices {
    /// Makes those of one seed.
    pub(super) fn seeded(seed: u64) -> Self {
        Self::Seeded(fastrand::Rng::with_seed(seed))
    }

    /// Makes the first of all sequences.
    pub(super) fn every() -> Self {
        Self::Every { path: Vec::new(), made: 0 }
    }

    /// Decides for one of `options`, which are not none.
    pub(super) fn pick(&mut self, options: usize) -> usize {
        match self {
            Self::Seeded(rng) => rng.usize(..options),
            Self::Every { path, made } => {
                if *made == path.len() {
                    path.push((0, options));
                }
                let (picked, of) = path[*made];
                assert_eq!(of, options, "a schedule depends on something else than its decisions");
                *made += 1;
                picked
            }
        }
    }

    /// Decides for one of what is weighed, by weight where it is at random.
    pub(super) fn weigh<T: Copy>(&mut self, weighed: &[(T, usize)]) -> T {
        let Self::Seeded(rng) = self else { return weighed[self.pick(weighed.len())].0 };
        let mut left = rng.usize(..weighed.iter().map(|(_, weight)| *weight).sum::<usize>());
        for (what, weight) in weighed {
            if left < *weight {
                return *what;
            }
            left -= weight;
        }
        unreachable!("it is less than the sum of the weights")
    }

    /// Goes on to the next sequence; false when there is none.
    pub(super) fn next(&mut self) -> bool {
        let Self::Every { path, made } = self else { return false };
        *made = 0;
        while let Some((picked, of)) = path.pop() {
            if picked + 1 < of {
                path.push((picked + 1, of));
                return true;
            }
        }
        false
    }
}
