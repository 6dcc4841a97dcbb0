//! What processes have used, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// Processor time of this thread so far.
pub fn own_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Processor time of one process so far, user and system.
pub fn cpu_of(pid: u32) -> Duration {
    stat(pid).map_or(Duration::ZERO, |stat| stat.own)
}

/// Processor time of a process, of the children that it has waited for, and of those that live.
pub fn cpu_of_tree(root: u32) -> Duration {
    let mut total = Duration::ZERO;
    for entry in fs::read_dir("/proc").expect("list processes").flatten() {
        let Some(stat) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(stat) else { continue };
        if stat.pid == root {
            total += stat.own + stat.ended_children;
        } else if stat.parent == root {
            total += stat.own;
        }
    }
    total
}

/// The most memory that a process has had resident, in bytes.
pub fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").parse().map_or(0, |kibibytes: u64| kibibytes * 1024)
}

struct Stat {
    pid: u32,
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

fn stat(pid: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; behind it the fields are numbers, of which the first is the third.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let time = |first: usize| Some(Duration::from_millis((ticks(first)? + ticks(first + 1)?) * 1_000 / TICKS_PER_SECOND));
    Some(Stat { pid, parent: u32::try_from(ticks(4)?).ok()?, own: time(14)?, ended_children: time(16)? })
}

/// What Linux tells times in, on every machine that this runs on.
const TICKS_PER_SECOND: u64 = 100;
