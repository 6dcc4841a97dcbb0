//! Methods timed side by side: round after round each one once, so that a machine whose speed drifts is equally unfair to all.

use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput};

/// One method: its name, and one pass of it that gives the time of what counts.
pub type Method<'a> = (&'static str, Box<dyn FnMut() -> Duration + 'a>);

/// What is measured, and in what.
pub struct Contest<'a> {
    /// Shown above the table.
    pub title: String,
    /// How many there are in one pass, of what.
    pub units: (u64, &'static str),
    /// Bytes that one pass handles.
    pub bytes: u64,
    /// The first one is ours, the others are held against it.
    pub methods: Vec<Method<'a>>,
}

impl Contest<'_> {
    /// Hands every method to criterion, then times them side by side and prints the ratios. With `--test` each runs once.
    pub fn run(mut self, criterion: &mut Criterion, rounds: usize) {
        let mut group = criterion.benchmark_group(&self.title);
        let throughput = if self.bytes == 0 { Throughput::Elements(self.units.0) } else { Throughput::Bytes(self.bytes) };
        // Flat: some methods take seconds.
        group.sampling_mode(SamplingMode::Flat);
        group.throughput(throughput).sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(700));
        for (name, pass) in &mut self.methods {
            group.bench_function(*name, |bencher| bencher.iter_custom(|passes| (0..passes).map(|_| pass()).sum()));
        }
        group.finish();
        if !is_test() {
            self.compare(rounds);
        }
    }

    fn compare(&mut self, rounds: usize) {
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); self.methods.len()];
        // Enough passes that the clock's own cost and its steps do not count.
        let passes: Vec<u32> = self.methods.iter_mut().map(|(_, pass)| (2_000_000 / pass().as_nanos().max(1)).clamp(1, 1_000) as u32).collect();
        for _ in 0..rounds {
            for (at, (_, pass)) in self.methods.iter_mut().enumerate() {
                let total: Duration = (0..passes[at]).map(|_| pass()).sum();
                times[at].push(total.as_secs_f64() / f64::from(passes[at]));
            }
        }
        let (units, unit) = self.units;
        println!("\n{}: medians of {rounds} rounds, side by side", self.title);
        println!("{:<34} {:>12} {:>12} {:>9} {:>8}", "method", format!("ns/{unit}"), "best", if self.bytes == 0 { "k/s" } else { "GB/s" }, "ours is");
        let ours = median(&times[0]);
        for ((name, _), times) in self.methods.iter().zip(&times) {
            let (middle, best) = (median(times), times.iter().copied().fold(f64::INFINITY, f64::min));
            let per_unit = |seconds: f64| seconds * 1e9 / units as f64;
            let rate = if self.bytes == 0 { units as f64 / middle / 1e3 } else { self.bytes as f64 / middle / 1e9 };
            println!("{name:<34} {:>12.1} {:>12.1} {rate:>9.2} {:>7.2}x", per_unit(middle), per_unit(best), middle / ours);
        }
    }
}

/// Whether the benches only have to run once.
pub fn is_test() -> bool {
    std::env::args().any(|argument| argument == "--test") || !std::env::args().any(|argument| argument == "--bench")
}

/// The time that something takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let made = std::hint::black_box(work());
    (made, started.elapsed())
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
