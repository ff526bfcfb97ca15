//! What happens to each connection, drawn from one seed.

use std::time::Duration;

use fastrand::Rng;

use super::{Options, Trouble};

/// What happens to one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    /// Each piece of data is late by up to so long.
    pub(super) latency: Duration,
    /// Bytes per second in each direction; 0 is no limit.
    pub(super) bandwidth: u64,
    pub(super) strike: Option<Strike>,
    /// For what is drawn on the way.
    pub(super) seed: u64,
}

/// Where trouble begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strike {
    pub(super) direction: Direction,
    pub(super) after_bytes: u64,
    pub(super) effect: Effect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the client to the server.
    Up,
    Down,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    Stall(Duration),
    Outage,
    Reset,
    HalfClose,
}

/// Draws the fate of one connection after the other.
#[derive(Debug)]
pub(super) struct Plan {
    trouble: Trouble,
    options: Options,
    rng: Rng,
    strikes_left: u64,
}

impl Plan {
    pub(super) fn new(trouble: Trouble, seed: u64, options: Options) -> Self {
        Self {
            trouble,
            options,
            rng: Rng::with_seed(seed),
            strikes_left: options.strikes,
        }
    }

    /// The first connection always has its share, the others two times out of three.
    pub(super) fn next(&mut self) -> Fate {
        let first = self.strikes_left == self.options.strikes;
        let mut fate = Fate {
            seed: self.rng.u64(..),
            ..Fate::default()
        };
        let effect = match self.trouble {
            Trouble::Latency => {
                fate.latency = Duration::from_micros(self.rng.u64(100..8_000));
                return fate;
            }
            Trouble::Throttle => {
                fate.bandwidth = self.rng.u64(200_000..4_000_000);
                return fate;
            }
            Trouble::Stall => Effect::Stall(self.options.pause),
            Trouble::Refuse => Effect::Outage,
            Trouble::Reset => Effect::Reset,
            Trouble::HalfClose => Effect::HalfClose,
        };
        let due = first || self.rng.u8(..3) > 0;
        if due && self.strikes_left > 0 {
            self.strikes_left -= 1;
            fate.strike = Some(self.strike(effect));
        }
        fate
    }

    /// A third of the strikes come early, where the heads of requests and the answers are.
    fn strike(&mut self, effect: Effect) -> Strike {
        let direction = if self.rng.u8(..4) == 0 {
            Direction::Down
        } else {
            Direction::Up
        };
        let most = match direction {
            Direction::Down => 1_500,
            Direction::Up if self.rng.u8(..3) == 0 => 1_500,
            Direction::Up => self.options.within,
        };
        Strike {
            direction,
            after_bytes: self.rng.u64(0..=most.min(self.options.within)),
            effect,
        }
    }

    /// How long connections are refused: a quarter of the pause at least.
    pub(super) fn outage(&mut self) -> Duration {
        let share = 0.25 + 0.75 * self.rng.f64();
        self.options.pause.mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_fates() {
        let fates = |seed| {
            let mut plan = Plan::new(Trouble::Reset, seed, Options::default());
            let fates: Vec<Fate> = (0..20).map(|_| plan.next()).collect();
            format!("{fates:?}")
        };
        assert_eq!(fates(1), fates(1));
        assert_ne!(fates(1), fates(2));
    }

    #[test]
    fn the_first_is_struck_and_no_more_than_may_be() {
        for seed in 0..50 {
            let mut plan = Plan::new(Trouble::Stall, seed, Options::default());
            assert!(plan.next().strike.is_some());
            let more = (0..50).filter(|_| plan.next().strike.is_some()).count();
            assert_eq!(more, 3);
        }
    }
}
