//! A line of the table: what was measured, under which settings.

use std::time::Duration;

use serde_json::Value;

use super::Setting;

/// What writing some objects took.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) setting: Setting,
    /// How long each object took, shortest first.
    pub(super) latencies: Vec<Duration>,
    /// How long each part took, shortest first; none on a disk, which knows no parts.
    pub(super) part_times: Vec<Duration>,
    /// How often a request was made again.
    pub(super) retries: u64,
    /// From the begin of the first object to the end of the last.
    pub(super) wall: Duration,
    /// CPU time of this process meanwhile.
    pub(super) cpu: Duration,
    /// The most resident memory meanwhile, in bytes.
    pub(super) peak: Option<u64>,
}

/// A figure, as people and programs read it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Figure {
    /// Bytes.
    Size(u64),
    Count(u64),
    /// A number with so many digits behind the point, if it is known.
    Real(Option<f64>, usize),
}

/// The titles of the columns: for people, and for programs.
const TITLES: [(&str, &str); 16] = [
    ("size", "size_bytes"),
    ("objects", "objects"),
    ("part size", "part_size_bytes"),
    ("in flight", "max_concurrency"),
    ("MiB/s", "mib_per_second"),
    ("objects/s", "objects_per_second"),
    ("p50 s", "p50_seconds"),
    ("p90 s", "p90_seconds"),
    ("p99 s", "p99_seconds"),
    ("max s", "max_seconds"),
    ("CPU s", "cpu_seconds"),
    ("CPU s/GiB", "cpu_seconds_per_gib"),
    ("peak MiB", "peak_rss_mib"),
    ("part p50 s", "part_p50_seconds"),
    ("part p99 s", "part_p99_seconds"),
    ("retries", "retries"),
];

/// The least width of a column.
const WIDTH: usize = 8;

const MIB: f64 = (1 << 20) as f64;

impl Row {
    /// All figures, in the order of the titles.
    #[expect(
        clippy::cast_precision_loss,
        reason = "they are printed with few digits"
    )]
    fn figures(&self) -> [Figure; TITLES.len()] {
        let objects = self.latencies.len() as u64;
        let mib = (objects * self.setting.size) as f64 / MIB;
        let wall = self.wall.as_secs_f64();
        let cpu = self.cpu.as_secs_f64();
        let time = |times: &[Duration], percent| {
            let time = percentile(times, percent);
            Figure::Real(time.map(|time| time.as_secs_f64()), 4)
        };
        let latency = |percent| time(&self.latencies, percent);
        [
            Figure::Size(self.setting.size),
            Figure::Count(objects),
            Figure::Size(self.setting.options.part_size),
            Figure::Count(self.setting.options.max_concurrency as u64),
            Figure::Real(ratio(mib, wall), 1),
            Figure::Real(ratio(objects as f64, wall), 1),
            latency(50),
            latency(90),
            latency(99),
            latency(100),
            Figure::Real(Some(cpu), 3),
            Figure::Real(ratio(cpu, mib / 1024.0), 3),
            Figure::Real(self.peak.map(|bytes| bytes as f64 / MIB), 1),
            time(&self.part_times, 50),
            time(&self.part_times, 99),
            Figure::Count(self.retries),
        ]
    }

    /// A line for people, without its end.
    pub(super) fn line(&self) -> String {
        aligned(self.figures().map(Figure::for_people))
    }

    /// All of it as one object of JSON. What is not known is left out.
    pub(super) fn json(&self) -> Value {
        let figures = self.figures().map(Figure::for_programs);
        let named = TITLES.iter().zip(figures);
        // Numbers of as many digits as the other forms have.
        let known = named.filter_map(|((_, name), figure)| {
            Some((*name, serde_json::from_str::<Value>(&figure).ok()?))
        });
        known
            .map(|(name, figure)| (name.to_owned(), figure))
            .collect()
    }

    /// A line of comma-separated values, without its end.
    pub(super) fn csv(&self) -> String {
        self.figures().map(Figure::for_programs).join(",")
    }
}

/// The titles of what [`Row::line`] gives.
pub(super) fn heading() -> String {
    aligned(TITLES.map(|(title, _)| title.to_owned()))
}

/// The titles of what [`Row::csv`] gives.
pub(super) fn csv_heading() -> String {
    TITLES.map(|(_, name)| name).join(",")
}

fn aligned(cells: [String; TITLES.len()]) -> String {
    let mut line = String::new();
    for (cell, (title, _)) in cells.iter().zip(TITLES) {
        let width = title.len().max(WIDTH);
        line += &format!("{cell:>width$}  ");
    }
    line.trim_end().to_owned()
}

impl Figure {
    fn for_people(self) -> String {
        match self {
            Self::Size(bytes) => in_units(bytes),
            Self::Real(None, _) => "-".to_owned(),
            other => other.for_programs(),
        }
    }

    fn for_programs(self) -> String {
        match self {
            Self::Size(number) | Self::Count(number) => number.to_string(),
            Self::Real(Some(number), digits) => format!("{number:.digits$}"),
            Self::Real(None, _) => String::new(),
        }
    }
}

/// Bytes with the largest unit that leaves a whole number, as the options take it.
fn in_units(bytes: u64) -> String {
    for (unit, name) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    bytes.to_string()
}

/// The time that so many percent of `sorted` kept to.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

fn ratio(number: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| number / of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use writer_core::WriterOptions;

    fn row(latencies: &[u64]) -> Row {
        Row {
            setting: Setting {
                size: 1 << 20,
                options: WriterOptions::default(),
            },
            latencies: latencies
                .iter()
                .copied()
                .map(Duration::from_millis)
                .collect(),
            part_times: Vec::new(),
            retries: 3,
            wall: Duration::from_secs(2),
            cpu: Duration::from_millis(500),
            peak: None,
        }
    }

    #[test]
    fn percentiles_are_those_that_so_many_kept_to() {
        let all: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        for (percent, millis) in [(50, 100), (90, 180), (99, 198), (100, 200)] {
            let found = percentile(&all, percent);
            assert_eq!(found, Some(Duration::from_millis(millis)), "{percent}");
        }
        let one = &all[..1];
        assert_eq!(percentile(one, 50), percentile(one, 100));
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn what_programs_read_is_numbers_and_what_is_not_known_is_empty() {
        let row = row(&[100, 200, 300, 400]);
        assert_eq!(
            row.csv(),
            "1048576,4,8388608,64,2.0,2.0,0.2000,0.4000,0.4000,0.4000,0.500,128.000,,,,3"
        );
        let part_times = vec![Duration::from_millis(5), Duration::from_millis(7)];
        let with_parts = Row { part_times, ..row };
        assert!(with_parts.csv().ends_with(",,0.0050,0.0070,3"));
        assert_eq!(with_parts.json()["part_p99_seconds"], 0.007);
        assert_eq!(with_parts.json()["retries"], 3);
        let row = Row {
            part_times: Vec::new(),
            ..with_parts
        };
        assert_eq!(row.json().get("part_p99_seconds"), None);
        let (names, values) = (csv_heading(), row.csv());
        assert_eq!(names.matches(',').count(), values.matches(',').count());
    }

    #[test]
    fn what_people_read_is_aligned() {
        let (heading, line) = (heading(), row(&[100]).line());
        for (title, value) in [("size", "1MiB"), ("MiB/s", "0.5"), ("peak MiB", "-")] {
            let end = |text: &str, word: &str| text.find(word).map(|at| at + word.len());
            assert!(
                end(&heading, title).is_some() && line.contains(value),
                "{line}"
            );
        }
        assert_eq!(heading.len(), line.len());
    }

    #[test]
    fn sizes_are_written_as_options_take_them() {
        for bytes in [0, 1, 1000, 1024, 3 << 19, 8 << 20, 5 << 30] {
            assert_eq!(crate::values::parse_size(&in_units(bytes)), Ok(bytes));
        }
        assert_eq!(in_units(8 << 20), "8MiB");
    }
}
