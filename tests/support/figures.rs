//! What can be measured of a running bridge: its metrics, and its memory as the system sees it.

use std::io::Write as _;

use super::bridge::Bridge;

/// Prints a figure where it is seen although the test passes: past the test runner's capture.
pub fn show(figure: &str) {
    let _ = writeln!(std::io::stderr(), "{figure}");
}

impl Bridge {
    pub fn metrics(&self) -> String {
        self.get("/metrics").1
    }

    /// The sum over all samples of `name` whose label text contains each of `labels` (e.g. `command="stat"`); 0 without any.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        self.metrics()
            .lines()
            .filter_map(|line| sample(line, name, labels))
            .sum()
    }

    /// A memory figure of /proc/PID/status in octets, e.g. `VmRSS` or `VmHWM` (the peak).
    pub fn memory(&self, figure: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc");
        let line = status
            .lines()
            .find(|l| l.starts_with(&format!("{figure}:")))
            .unwrap_or_else(|| panic!("no {figure}"));
        line.split_whitespace()
            .nth(1)
            .and_then(|kb| kb.parse::<u64>().ok())
            .expect("kB")
            * 1024
    }

    /// Sets VmHWM back to the present VmRSS.
    pub fn reset_peak_memory(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("clear_refs");
    }
}

fn sample(line: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (set, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.rsplit_once('}')?,
        None => ("", rest),
    };
    if !value.starts_with(' ') || !labels.iter().all(|label| set.contains(label)) {
        return None;
    }
    value.trim().parse().ok()
}
