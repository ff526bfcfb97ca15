//! `bench`: what it prints, and that it leaves nothing.

#![cfg(feature = "fs")]
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    Folders, assert_code, assert_error, eventually, piped, printed, s3_cli, send, stderr, stdout,
    wait,
};
use rustix::process::Signal;

/// The fields of each line but the titles; NaN for those that are not known.
fn rows(csv: &str) -> Vec<Vec<f64>> {
    let mut lines = csv.lines();
    let titles = lines.next().unwrap();
    assert!(titles.starts_with("size_bytes,objects,"), "{titles}");
    let numbers = |line: &str| {
        line.split(',')
            .map(|field| match field {
                "" => f64::NAN,
                number => number.parse().unwrap(),
            })
            .collect()
    };
    lines.map(numbers).collect()
}

#[test]
fn every_combination_is_a_line_of_numbers_and_nothing_is_left() {
    let folders = Folders::new();
    let output = s3_cli()
        .args(["bench", "--csv", "--objects=3", "--size=100K,1M"])
        .args(["--max-concurrency=1,2", &folders.uri("")])
        .output()
        .unwrap();
    let rows = rows(&stdout(&output));
    let settings: Vec<_> = rows.iter().map(|row| (row[0], row[1], row[3])).collect();
    let (small, large) = (102_400.0, 1_048_576.0);
    assert_eq!(
        settings,
        [
            (small, 3.0, 1.0),
            (small, 3.0, 2.0),
            (large, 3.0, 1.0),
            (large, 3.0, 2.0)
        ]
    );
    for row in &rows {
        let (p50, p99, max, cpu, peak) = (row[6], row[8], row[9], row[10], row[12]);
        assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{row:?}");
        assert!(cpu > 0.0, "{row:?}");
        // The bytes to send are 16 MiB of it.
        assert!(peak > 16.0, "{row:?}");
        // A disk knows no parts.
        assert!(row[13].is_nan() && row[14].is_nan(), "{row:?}");
        assert_eq!(row[15], 0.0);
    }
    assert!(folders.names().is_empty());
}

#[test]
fn people_get_a_table() {
    let folders = Folders::new();
    let folder = folders.objects.to_str().unwrap();
    let output = s3_cli()
        .args(["bench", "--objects=1", "--size=1M", folder])
        .output()
        .unwrap();
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].contains("p50 s") && lines[1].contains("1MiB"),
        "{text}"
    );
    assert!(folders.names().is_empty());
}

#[test]
fn programs_get_json() {
    let folders = Folders::new();
    let output = s3_cli()
        .args([
            "bench",
            "--json",
            "--objects=2",
            "--size=1K,2K",
            &folders.uri(""),
        ])
        .output()
        .unwrap();
    let text = stdout(&output);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let sizes: Vec<_> = lines
        .iter()
        .map(|line| line["size_bytes"].as_u64())
        .collect();
    assert_eq!(sizes, [Some(1_024), Some(2_048)]);
    assert!(lines[0]["max_seconds"].as_f64() > Some(0.0), "{text}");
    assert!(folders.names().is_empty());
}

#[test]
fn what_is_kept_is_named_and_no_two_objects_are_the_same() {
    let folders = Folders::new();
    std::fs::write(folders.object("mine"), b"mine").unwrap();
    let output = s3_cli()
        .args([
            "bench",
            "--keep",
            "--objects=4",
            "--size=20K",
            &folders.uri(""),
        ])
        .output()
        .unwrap();
    assert_code(&output, 0);
    assert!(
        stderr(&output).contains("kept: file://"),
        "{}",
        stderr(&output)
    );
    let mut all = folders.all();
    assert_eq!(all.remove("mine").unwrap(), b"mine");
    // One more goes ahead.
    assert_eq!(all.len(), 5);
    let mut contents: Vec<_> = all.into_values().collect();
    assert!(contents.iter().all(|content| content.len() == 20 << 10));
    contents.sort();
    contents.dedup();
    assert_eq!(contents.len(), 5);
}

#[test]
fn a_duration_ends() {
    let folders = Folders::new();
    let output = s3_cli()
        .args([
            "bench",
            "--csv",
            "--duration=200ms",
            "--size=10K",
            &folders.uri(""),
        ])
        .output()
        .unwrap();
    let rows = rows(&stdout(&output));
    assert!(rows[0][1] >= 1.0, "{rows:?}");
    assert!(folders.names().is_empty());
}

#[test]
fn ctrl_c_leaves_nothing() {
    let folders = Folders::new();
    let mut command = s3_cli();
    command.args(["bench", "--duration=1h", "--size=1M", &folders.uri("")]);
    let mut child = piped(&mut command);
    eventually("some objects", || folders.names().len() > 8);
    send(&child, Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
    assert!(folders.names().is_empty(), "{:?}", folders.names());
}

#[test]
fn wrong_use_is_told_before_anything_is_written() {
    let folders = Folders::new();
    for arguments in [
        &["--size=1X"][..],
        &["--objects=0"],
        &["--max-concurrency=8,1025"],
        &["--part-size=0"],
        &["--objects=1", "--duration=1s"],
        &["--duration=long"],
    ] {
        let output = s3_cli()
            .arg("bench")
            .args(arguments)
            .arg(folders.uri(""))
            .output()
            .unwrap();
        assert_code(&output, 2);
        assert!(printed(&output).is_empty());
    }
    assert_error(
        &common::run(["bench", "gopher://hole"]),
        2,
        &["unknown scheme"],
    );
    assert!(folders.names().is_empty());
}

#[cfg(feature = "s3")]
mod s3 {
    use super::*;
    use common::server::{cli, server};
    use testkit::server::Fault;

    #[test]
    fn parts_are_of_the_size_that_was_said_and_nothing_is_left() {
        let server = server();
        let output = cli(&server)
            .args(["bench", "--csv", "--size=12M", "--objects=2"])
            .args(["--part-size=5M,6M", "s3://test/below"])
            .output()
            .unwrap();
        let rows = rows(&stdout(&output));
        let part_sizes: Vec<f64> = rows.iter().map(|row| row[2]).collect();
        assert_eq!(part_sizes, [5_242_880.0, 6_291_456.0]);
        // Three parts each, then two.
        assert_eq!(server.log_of("UploadPart").len(), 10);
        let puts = server.log_of("PutObject");
        assert_eq!(puts.len(), 2);
        assert!(server.keys().is_empty(), "{:?}", server.keys());
        assert!(server.uploads().is_empty());
    }

    #[test]
    fn times_of_parts_and_retries_are_told() {
        let server = server();
        // The object that goes ahead is one request, and has its own.
        let slow = Fault::on("UploadPart").times(2).respond(503, "SlowDown");
        let fault = server.inject(slow);
        let output = cli(&server)
            .args(["bench", "--json", "--size=12M", "--objects=2"])
            .args(["--part-size=5M", "s3://test/below"])
            .output()
            .unwrap();
        let row: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert!(fault.is_used_up());
        assert_eq!(row["retries"], 2, "{row}");
        let seconds = |name: &str| row[name].as_f64().unwrap();
        let (p50, p99) = (seconds("part_p50_seconds"), seconds("part_p99_seconds"));
        assert!(0.0 < p50 && p50 <= p99, "{row}");
        assert!(p99 <= seconds("max_seconds"), "{row}");
    }

    #[test]
    fn a_failure_leaves_nothing_and_has_its_exit_code() {
        let server = server();
        let denied = Fault::on("PutObject").respond(403, "AccessDenied").after(4);
        server.inject(denied.always());
        let output = cli(&server)
            .args(["bench", "--size=1M", "--objects=9", "s3://test/"])
            .output()
            .unwrap();
        assert_error(&output, 4, &["s3-cli-bench-"]);
        assert!(server.keys().is_empty(), "{:?}", server.keys());
    }

    #[test]
    fn what_cannot_be_removed_is_told() {
        let server = server();
        server.deny("DeleteObject");
        let output = cli(&server)
            .args(["bench", "--size=1K", "--objects=1", "s3://test/"])
            .output()
            .unwrap();
        assert_error(&output, 4, &["s3-cli-bench-"]);
    }

    #[test]
    fn ctrl_c_leaves_no_upload() {
        let server = server();
        server.set_connection_bandwidth(2 << 20);
        let mut command = cli(&server);
        command.args(["bench", "--size=20M", "--part-size=5M", "s3://test/"]);
        let mut child = piped(&mut command);
        eventually("an upload", || !server.uploads().is_empty());
        send(&child, Signal::INT);
        assert_eq!(wait(&mut child).code(), Some(130));
        assert!(server.uploads().is_empty());
        assert!(server.keys().is_empty());
    }
}
