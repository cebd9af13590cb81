//! Many rounds, each with a seed of its own; a failure says which.

use super::random::Random;

/// Says the seed when the round fails.
struct Round(u64);

impl Drop for Round {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0}: PROPERTY_SEED={0} runs this round alone", self.0);
        }
    }
}

/// Plays a round for each of so many seeds, or for the one that the environment names.
pub fn rounds(count: u64, play: impl Fn(&mut Random)) {
    let asked = std::env::var("PROPERTY_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = asked.map_or(1..count + 1, |seed| seed..seed + 1);
    for seed in seeds {
        let _round = Round(seed);
        play(&mut Random::new(seed));
    }
}
