//! `--trace`: what the file tells, and that it can be read whatever happens.

#![cfg(feature = "s3")]
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::server::{cli, server};
use common::{Folders, assert_error, bytes, eventually, piped, send, stdout, wait};
use rustix::process::Signal;
use serde_json::Value;
use testkit::server::Fault;

const PART: usize = 5 << 20;

fn text<'a>(record: &'a Value, key: &str) -> &'a str {
    record[key].as_str().unwrap_or_default()
}

fn records(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Fails unless times never go back, what begins ends, slices of a lane lie within each other, and
/// every record has what its kind must have.
fn assert_sound(records: &[Value]) {
    let mut last = 0.0;
    let mut lanes: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    let mut pending: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for record in records {
        assert_eq!(record["pid"], 1, "{record}");
        if text(record, "ph") == "M" {
            continue;
        }
        let at = record["ts"].as_f64().unwrap();
        assert!(at >= last, "{record} comes after {last}");
        last = at;
        let name = text(record, "name");
        let lane = lanes
            .entry(record["tid"].as_u64().unwrap_or(0))
            .or_default();
        let id = (text(record, "cat"), text(record, "id"));
        match text(record, "ph") {
            "B" => lane.push(name),
            "E" => assert_eq!(lane.pop(), Some(name), "{record}"),
            "b" => assert!(pending.insert(id, name).is_none(), "{record}"),
            "e" => assert_eq!(pending.remove(&id), Some(name), "{record}"),
            "i" => assert!(!lane.is_empty(), "{record} happens to nothing"),
            "C" => assert_eq!(record["args"].as_object().unwrap().len(), 1, "{record}"),
            other => panic!("{other} in {record}"),
        }
    }
    assert!(lanes.values().all(Vec::is_empty), "{lanes:?}");
    assert!(pending.is_empty(), "{pending:?}");
}

/// What became of each part, in order.
fn chains(records: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut in_lane: BTreeMap<u64, String> = BTreeMap::new();
    for record in records {
        let (phase, name) = (text(record, "ph"), text(record, "name"));
        let lane = record["tid"].as_u64().unwrap_or(0);
        if text(record, "cat") == "queue" {
            let part = text(record, "id").rsplit_once(" part ").unwrap().1;
            let chain = chains.entry(format!("part {part}")).or_default();
            chain.push(format!("{phase} {name}"));
        } else if phase == "B" && name.starts_with("part ") {
            in_lane.insert(lane, name.to_owned());
        } else if phase == "E" && name.starts_with("part ") {
            let outcome = text(&record["args"], "outcome");
            let chain = chains.get_mut(name).unwrap();
            chain.push(format!("{outcome}, {} retries", record["args"]["retries"]));
            in_lane.remove(&lane);
        } else if let Some(part) = in_lane.get(&lane)
            && (phase == "B" || phase == "i")
        {
            chains.get_mut(part).unwrap().push(name.to_owned());
        }
    }
    chains
}

struct Traced {
    _folders: Folders,
    path: PathBuf,
}

impl Traced {
    fn new() -> Self {
        let folders = Folders::new();
        let path = folders.objects.join("trace.json");
        Self {
            _folders: folders,
            path,
        }
    }

    fn option(&self) -> String {
        format!("--trace={}", self.path.display())
    }
}

#[test]
fn every_part_has_one_chain_from_the_queue_to_its_end() {
    let (server, folders, traced) = (server(), Folders::new(), Traced::new());
    let file = folders.source("file", &bytes(4 * PART + 1));
    let fault = Fault::on("UploadPart").part(2).respond(503, "SlowDown");
    let fault = server.inject(fault);
    // Long enough for the second part to leave before the first one is answered.
    server.set_latency(Duration::from_millis(200));
    let mut put = cli(&server);
    put.args(["put", "--part-size=5M", "--max-concurrency=2"]);
    put.args([&traced.option(), file.to_str().unwrap(), "s3://test/key"]);
    stdout(&put.output().unwrap());
    assert_eq!(fault.count(), 1);

    let records = records(&traced.path);
    assert_sound(&records);
    let chains = chains(&records);
    let usual = [
        "b queued",
        "e queued",
        "sending",
        "waiting",
        "stored, 0 retries",
    ];
    for part in [1, 3, 4, 5] {
        assert_eq!(chains[&format!("part {part}")], usual, "part {part}");
    }
    let second = &chains["part 2"];
    let again = second.iter().position(|what| what == "retry").unwrap();
    assert_eq!(second[..3], ["b queued", "e queued", "sending"]);
    assert_eq!(
        second[again..],
        [
            "retry",
            "backing off",
            "sending",
            "waiting",
            "stored, 1 retries"
        ]
    );
    assert_eq!(chains.len(), 5);
    let retry = records
        .iter()
        .find(|record| text(record, "name") == "retry");
    assert_eq!(text(&retry.unwrap()["args"], "reason"), "unavailable");

    let named = |name: &str, phase: &str| {
        let found = records.iter().filter(|record| text(record, "name") == name);
        found.filter(|record| text(record, "ph") == phase).count()
    };
    for step in ["create", "complete", "s3://test/key"] {
        let phases = if step.starts_with('s') {
            ["b", "e"]
        } else {
            ["B", "E"]
        };
        assert_eq!(phases.map(|phase| named(step, phase)), [1, 1], "{step}");
    }
    let lanes = named("thread_name", "M");
    assert!((2..=4).contains(&lanes), "{lanes} lanes for two in flight");
    let counted = |name: &str, key: &str| -> Vec<f64> {
        let found = records.iter().filter(|record| text(record, "name") == name);
        let numbers = found.map(|record| record["args"][key].as_f64().unwrap());
        numbers.collect()
    };
    let in_flight = counted("parts in flight", "parts");
    assert!(in_flight.iter().all(|parts| *parts <= 2.0), "{in_flight:?}");
    assert!(in_flight.contains(&2.0) && in_flight.last() == Some(&0.0));
    assert!(
        counted("throughput", "MiB/s")
            .iter()
            .any(|speed| *speed > 0.0)
    );
    assert_eq!(counted("bytes buffered", "bytes").last(), Some(&0.0));
}

#[test]
fn many_objects_share_the_lanes_and_a_disk_tells_of_its_syncs() {
    let (server, folders, traced) = (server(), Folders::new(), Traced::new());
    for n in 0..50 {
        folders.source(format!("d/{n}"), &bytes(n));
    }
    let source = folders.sources.to_str().unwrap();
    for (to, steps) in [
        ("s3://test/p/".to_owned(), &["part 1"][..]),
        (folders.uri("copy/"), &["sync", "complete"]),
    ] {
        let mut put = cli(&server);
        put.args(["put", "-r", "--max-concurrency=8", &traced.option()]);
        stdout(&put.args([source, &to]).output().unwrap());
        let records = records(&traced.path);
        assert_sound(&records);
        let count = |name: &str, phase: &str| {
            let found = records.iter().filter(|record| text(record, "ph") == phase);
            found.filter(|record| text(record, "name") == name).count()
        };
        for step in steps {
            assert_eq!((count(step, "B"), count(step, "E")), (50, 50), "{step}");
        }
        assert!(count("thread_name", "M") <= 50, "lanes are used again");
    }
}

#[test]
fn what_ends_before_its_time_is_sound_too() {
    let (server, traced) = (server(), Traced::new());
    let held = server.hold("UploadPart");
    let mut put = cli(&server);
    put.args([
        "put",
        "--part-size=5M",
        &traced.option(),
        "-",
        "s3://test/key",
    ]);
    let mut child = piped(&mut put);
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, &bytes(3 * PART)).unwrap();
    eventually("parts are on their way", || held.held() >= 2);
    send(&child, Signal::INT);
    held.release();
    assert_eq!(wait(&mut child).code(), Some(130));
    let records = records(&traced.path);
    assert_sound(&records);
    assert!(chains(&records)["part 1"].len() > 2);
    let names: Vec<&str> = records.iter().map(|record| text(record, "name")).collect();
    assert!(names.contains(&"abort"), "{names:?}");
}

/// The format lets the end be missing, and no record is cut.
#[test]
fn a_trace_of_a_program_that_was_killed_lacks_its_end_only() {
    let (server, traced) = (server(), Traced::new());
    server.set_bandwidth(8 << 20);
    let mut put = cli(&server);
    put.args([
        "put",
        "--part-size=5M",
        &traced.option(),
        "-",
        "s3://test/key",
    ]);
    let mut child = piped(&mut put);
    let mut stdin = child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        let _killed = std::io::Write::write_all(&mut stdin, &bytes(20 * PART));
    });
    eventually("something is written", || {
        std::fs::metadata(&traced.path).is_ok_and(|file| file.len() > 500)
    });
    send(&child, Signal::KILL);
    wait(&mut child);
    feeding.join().unwrap();
    let mut text = std::fs::read_to_string(&traced.path).unwrap();
    assert!(!text.contains(']'), "{text}");
    text.push(']');
    let records: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(records.len() > 3, "{records:?}");
}

#[test]
fn a_trace_that_can_not_be_written_is_said_before_anything_is_sent() {
    let (server, folders) = (server(), Folders::new());
    let file = folders.source("file", b"x");
    let mut put = cli(&server);
    put.args(["put", "--trace=/nowhere/trace.json"]);
    put.args([file.to_str().unwrap(), "s3://test/key"]);
    let output = put.output().unwrap();
    assert_error(&output, 3, &["/nowhere/trace.json"]);
    assert!(server.log().is_empty());
}

/// A name that was meant for a source.
#[test]
fn what_is_no_trace_is_not_replaced_by_one() {
    let (server, folders) = (server(), Folders::new());
    let file = folders.source("file", b"[1, 2]");
    let path = file.to_str().unwrap();
    let trace = format!("--trace={path}");
    for arguments in [
        &["put", &trace, path, "s3://test/key"][..],
        &["put", &trace, "s3://test/key"],
        &["put", &trace, "--dry-run", path, "s3://test/key"],
    ] {
        let output = cli(&server).args(arguments).output().unwrap();
        let dry_run = arguments.contains(&"--dry-run");
        assert_eq!(output.status.success(), dry_run, "{arguments:?}");
        assert_eq!(std::fs::read(&file).unwrap(), b"[1, 2]", "{arguments:?}");
    }
    let output = cli(&server)
        .args(["put", &trace, path, "s3://test/key"])
        .output();
    assert_error(&output.unwrap(), 5, &[path, "is no trace"]);
    assert_eq!(server.stats().requests_of("PutObject"), 0);
}
