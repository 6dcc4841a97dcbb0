//! Chance for the simulator: streams of one seed that never touch each other.
//!
//! Each site draws from streams of its own, one per purpose, so that what one part of the simulation asks for never shifts what
//! another part gets: the same people walk the same ways whether Wi-Fi, Bluetooth or both are listened to.

use std::f64::consts::TAU;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream is drawn for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Where access points and destinations stand.
    Plan,
    /// Who comes, where they walk and what they carry.
    Walk,
    /// What the air does to Wi-Fi frames.
    WifiAir,
    /// What the air does to Bluetooth frames.
    BleAir,
    /// The quirks of how the cloud writes things down.
    Wire,
    /// Which posts are lost on their way.
    Loss,
}

/// One stream of chance.
pub(super) struct Dice {
    rng: ChaCha8Rng,
    /// Box and Muller's method makes two normal numbers at a time; this is the second.
    spare: Option<f64>,
}

impl Dice {
    pub(super) fn new(seed: u64, site: u32, purpose: Purpose) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(site) * 8 + purpose as u64);
        Self { rng, spare: None }
    }

    /// From 0 up to, but not including, 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.rng.random::<f64>()
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `count`; 0 when `count` is 0.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// The time until the next event of a Poisson process with this mean gap.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// A normal number around 0.
    pub(super) fn normal(&mut self, deviation: f64) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare * deviation;
        }
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        let (sine, cosine) = (TAU * self.unit()).sin_cos();
        self.spare = Some(radius * sine);
        radius * cosine * deviation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut dice = Dice::new(7, 0, Purpose::Walk);
        let count = 20_000;
        let normal: Vec<f64> = (0..count).map(|_| dice.normal(4.0)).collect();
        let mean = normal.iter().sum::<f64>() / f64::from(count);
        let variance = normal.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / f64::from(count);
        assert!(mean.abs() < 0.15, "{mean}");
        assert!((variance.sqrt() - 4.0).abs() < 0.1, "{variance}");
        let gaps = (0..count).map(|_| dice.exponential(30.0)).sum::<f64>() / f64::from(count);
        assert!((gaps - 30.0).abs() < 1.0, "{gaps}");
    }

    #[test]
    fn streams_differ_by_seed_site_and_purpose() {
        let first = |seed, site, purpose| Dice::new(seed, site, purpose).unit().to_bits();
        let origin = first(1, 0, Purpose::Plan);
        assert_eq!(origin, first(1, 0, Purpose::Plan));
        for other in [first(2, 0, Purpose::Plan), first(1, 1, Purpose::Plan), first(1, 0, Purpose::Walk)] {
            assert_ne!(origin, other);
        }
    }
}
