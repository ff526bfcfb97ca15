//! What this process has taken of the machine.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// User and system time of all threads so far.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // A time that has passed is not negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// Begins a new peak of resident memory, where the system can: proc_pid_clear_refs(5). Else the
/// peak is that of all the time before, too.
pub(crate) fn forget_peak() {
    let _kept = fs::write("/proc/self/clear_refs", "5");
}

/// The most resident memory, in bytes, where the system says it: proc_pid_status(5).
pub(crate) fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn cpu_time_grows_with_work() {
        let before = cpu();
        let mut sum = 0_u64;
        for number in 0..2_000_000 {
            sum = black_box(sum.wrapping_add(number));
        }
        assert!(cpu() > before);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_is_of_what_was_touched() {
        let touched = black_box(vec![1_u8; 8 << 20]);
        assert!(peak().unwrap() > touched.len() as u64);
    }
}
