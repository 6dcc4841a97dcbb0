//! The end of a simulation in figures.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::people::Totals;

/// Within a power of two, values are told apart in this many steps: 0.2 % of the value.
const STEP_BITS: u32 = 9;
const STEPS: u64 = 1 << STEP_BITS;

/// Answer times in microseconds, in buckets whose width grows with the value, so that memory stays bounded by the longest answer
/// and not by their number. Up to one millisecond it is exact.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max_us: u64,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, elapsed: Duration) {
        let value = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let index = bucket(value);
        if index >= self.buckets.len() {
            self.buckets.resize(index + 1, 0);
        }
        self.buckets[index] += 1;
        self.count += 1;
        self.max_us = self.max_us.max(value);
    }

    /// Adds another histogram's counts.
    pub fn add(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(count, more)| *count += more);
        self.count += other.count;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest, exactly.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max_us)
    }

    /// The time within which this share of all came (nearest rank, rounded up by the bucket's width at most).
    #[must_use]
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut passed = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            passed += count;
            if passed >= rank {
                return Duration::from_micros(upper_bound(index).min(self.max_us));
            }
        }
        self.max()
    }
}

/// The first 2 * STEPS values have buckets of their own; each power of two after that has STEPS of them.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

/// The largest value that falls into a bucket.
fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / STEPS).saturating_sub(1);
    let base = index - shift * STEPS;
    ((base + 1) << shift).wrapping_sub(1)
}

/// What one sender, or all together, met with.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Posts sent, counting a post that was tried again once.
    pub posts: u64,
    /// Observations in posts that were answered with 2xx.
    pub observations: u64,
    /// Bytes of the bodies of all posts.
    pub bytes: u64,
    /// Posts that were made and, by the will of whoever asked, not sent.
    pub lost: u64,
    /// How often each status came, each try counted; 0 stands for none.
    pub statuses: BTreeMap<u16, u64>,
    /// Times of the answers that came, whatever their status.
    pub answers: Histogram,
    /// The first reason why an answer did not come.
    pub first_error: Option<String>,
}

impl Tally {
    /// Counts a try that was answered, or was not.
    pub fn tried(&mut self, status: u16, elapsed: Duration, error: Option<&dyn fmt::Display>) {
        *self.statuses.entry(status).or_default() += 1;
        if status != 0 {
            self.answers.record(elapsed);
        }
        if self.first_error.is_none() {
            self.first_error = error.map(ToString::to_string);
        }
    }

    /// Counts a post whose last try had this status.
    pub fn sent(&mut self, status: u16, observations: u32, bytes: usize) {
        self.posts += 1;
        self.bytes += bytes as u64;
        if (200..300).contains(&status) {
            self.observations += u64::from(observations);
        }
    }

    /// Adds what another met with.
    pub fn add(&mut self, other: &Self) {
        self.posts += other.posts;
        self.observations += other.observations;
        self.bytes += other.bytes;
        self.lost += other.lost;
        other.statuses.iter().for_each(|(status, count)| *self.statuses.entry(*status).or_default() += count);
        self.answers.add(&other.answers);
        if self.first_error.is_none() {
            self.first_error.clone_from(&other.first_error);
        }
    }

    /// Whether any answer came at all.
    #[must_use]
    pub fn was_answered(&self) -> bool {
        self.answers.count() > 0
    }
}

/// What load mode adds.
#[derive(Clone, Copy, Debug)]
pub struct LoadFacts {
    /// Bodies that were made before the clock started.
    pub bodies: usize,
    /// Their bytes.
    pub body_bytes: u64,
    /// Posts per second that were asked for; none in the closed loop.
    pub rate: Option<f64>,
    /// Posts whose time had come but that could not be sent before the end.
    pub unsent: u64,
}

/// The figures of a whole run. Its `Display` is what the command prints.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What all senders met with.
    pub tally: Tally,
    /// From the first post to the last answer.
    pub elapsed: Duration,
    /// Who was simulated.
    pub people: Totals,
    /// Only in load mode.
    pub load: Option<LoadFacts>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        let seconds = self.elapsed.as_secs_f64().max(1e-6);
        let rate = |count: u64| count as f64 / seconds;
        if let Some(load) = &self.load {
            writeln!(f, "bodies        {} made beforehand, {:.1} MiB{}", load.bodies, mebibytes(load.body_bytes), cycled(tally.posts, load.bodies))?;
            if let Some(asked) = load.rate {
                writeln!(f, "asked         {asked:.1} posts/s, {} not sent in time", load.unsent)?;
            }
        }
        writeln!(f, "sent          {} posts in {seconds:.1} s, {:.1} posts/s, {:.1} MiB/s", tally.posts, rate(tally.posts), mebibytes(tally.bytes) / seconds)?;
        if tally.lost > 0 {
            writeln!(f, "lost          {} posts made and not sent (--lose-posts)", tally.lost)?;
        }
        writeln!(f, "observations  {} accepted, {:.0} observations/s", tally.observations, rate(tally.observations))?;
        let statuses: Vec<String> =
            tally.statuses.iter().map(|(status, count)| if *status == 0 { format!("none: {count}") } else { format!("{status}: {count}") }).collect();
        writeln!(f, "answers       {}", if statuses.is_empty() { "none".to_owned() } else { statuses.join(", ") })?;
        if tally.was_answered() {
            let at = |share| milliseconds(tally.answers.percentile(share));
            let (p50, p90, p99, p999) = (at(0.5), at(0.9), at(0.99), at(0.999));
            writeln!(f, "answer time   p50 {p50} ms, p90 {p90} ms, p99 {p99} ms, p99.9 {p999} ms, max {} ms", milliseconds(tally.answers.max()))?;
        }
        if let Some(error) = &tally.first_error {
            writeln!(f, "first error   {error}")?;
        }
        let Totals { visitors, passers_by, staff, fixtures } = self.people;
        write!(f, "people        {visitors} visitors, {passers_by} passers-by, {staff} staff, {fixtures} fixtures and beacons")
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1000.0)
}

fn cycled(posts: u64, bodies: usize) -> String {
    if posts > bodies as u64 { format!(", sent {:.1} times over (what comes again is a repeat)", posts as f64 / bodies as f64) } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let mut histogram = Histogram::default();
        let mut values: Vec<u64> = (0..5000_u64).map(|index| (index * 7919 % 5000) * (index * 7919 % 5000) / 7).collect();
        values.iter().for_each(|value| histogram.record(Duration::from_micros(*value)));
        values.sort_unstable();
        for share in [0.0001, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = values[((share * 5000.0_f64).ceil() as usize).max(1) - 1] as f64;
            let got = histogram.percentile(share).as_micros() as f64;
            assert!(got >= exact && got <= exact * 1.002 + 1.0, "{share}: {got} for {exact}");
        }
        assert_eq!(histogram.max(), Duration::from_micros(*values.last().unwrap()));
    }

    #[test]
    fn buckets_meet_without_gap_up_to_the_largest_value() {
        for value in (0..20_000).chain((10..64).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + 1])).chain([u64::MAX - 1]) {
            let index = bucket(value);
            assert!(upper_bound(index) >= value, "{value}");
            assert!(index == 0 || upper_bound(index - 1) < value, "{value}");
        }
    }

    #[test]
    fn two_histograms_add_up() {
        let (mut left, mut right) = (Histogram::default(), Histogram::default());
        left.record(Duration::from_micros(10));
        right.record(Duration::from_millis(30));
        left.add(&right);
        assert_eq!((left.count(), left.percentile(0.5), left.max()), (2, Duration::from_micros(10), Duration::from_millis(30)));
    }

    #[test]
    fn the_summary_names_what_the_command_promises() {
        let mut tally = Tally::default();
        tally.tried(503, Duration::from_millis(1), None);
        tally.tried(200, Duration::from_millis(2), None);
        tally.sent(200, 30, 9000);
        let people = Totals { visitors: 3, ..Totals::default() };
        let text = Summary { tally, elapsed: Duration::from_secs(2), people, load: None }.to_string();
        for part in ["1 posts", "0.5 posts/s", "15 observations/s", "200: 1, 503: 1", "p99.9 2.00 ms", "3 visitors"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
