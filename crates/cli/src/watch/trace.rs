//! `--trace`: the life of every part, in the format of Chrome's trace events, which Perfetto and
//! chrome://tracing open
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>).
//!
//! An object is an asynchronous slice, and so is the time that a part waits in the queue. What is
//! in flight takes a lane, a thread in the trace's terms: the first that is free, so that nothing
//! in it overlaps.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use writer_core::{Error, Event, EventKind, Observer, Result, Step};

/// When so many bytes of records wait for a slow disk, uploads wait for it, too.
const FULL: usize = 4 << 20;

/// How often counters are told, and what there is is written.
const COUNT_EVERY: Duration = Duration::from_millis(50);

/// The one process of a trace.
const PID: u32 = 1;

/// A trace file that is being written. Records leave whole and in the order of their times, so
/// the file of a program that was killed lacks its end and nothing else.
#[derive(Debug)]
pub(crate) struct Trace {
    state: Mutex<State>,
    /// Locked before the state is, and for as long as it takes to write, so that records stay in
    /// order while events are taken meanwhile.
    file: Mutex<File>,
}

#[derive(Debug)]
struct State {
    path: PathBuf,
    /// Records that are not written yet.
    buffer: Vec<u8>,
    /// What keeps the trace from being written; the upload goes on without.
    failure: Option<io::Error>,
    closed: bool,
    start: Instant,
    /// True for each lane that is taken.
    lanes: Vec<bool>,
    objects: HashMap<u64, Object>,
    counters: Counters,
    counted: Instant,
    /// What the counters were told as.
    told: [f64; 3],
}

#[derive(Debug, Default)]
struct Counters {
    in_flight: u64,
    /// Bytes of memory of parts that are queued or in flight.
    buffered: u64,
    /// Bytes that were sent, or written, since they were told last.
    moved: u64,
}

/// An object on its way.
#[derive(Debug, Default)]
struct Object {
    uri: String,
    parts: HashMap<u32, Part>,
    /// Lanes of steps that are no parts.
    steps: HashMap<Step, usize>,
    /// Bytes on a disk so far.
    written: u64,
}

#[derive(Debug, Default)]
struct Part {
    bytes: u64,
    memory: u64,
    /// One, or two of a part that was late.
    tries: Vec<Try>,
    retries: u32,
}

#[derive(Debug)]
struct Try {
    attempt: u32,
    lane: usize,
    phase: Phase,
    /// Bytes sent of this attempt.
    sent: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Sending,
    Waiting,
    BackingOff,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Waiting => "waiting",
            Self::BackingOff => "backing off",
        }
    }
}

impl Trace {
    /// A trace into a new file at `path`, in place of a trace that is there.
    ///
    /// # Errors
    ///
    /// If it can't be made, or something else is there.
    pub(crate) fn create(path: &Path) -> Result<Arc<Self>> {
        let named = |error: io::Error| Error::from(error).with_uri(path.display().to_string());
        let file = new_file(path).map_err(named)?;
        let now = Instant::now();
        let mut state = State {
            path: path.to_owned(),
            buffer: BEGINNING.to_vec(),
            failure: None,
            closed: false,
            start: now,
            lanes: Vec::new(),
            objects: HashMap::new(),
            counters: Counters::default(),
            counted: now,
            told: [-1.0; 3],
        };
        let name = json!({"name": "s3-cli put"});
        state.push(&json!({"name": "process_name", "ph": "M", "pid": PID, "args": name}));
        let trace = Arc::new(Self {
            state: Mutex::new(state),
            file: Mutex::new(file),
        });
        trace.write();
        let weak = Arc::downgrade(&trace);
        thread::Builder::new()
            .name("trace".into())
            .spawn(move || keep_up(&weak))
            .map_err(named)?;
        Ok(trace)
    }

    /// Ends what has not ended, and the file.
    ///
    /// # Errors
    ///
    /// What kept it from being written.
    pub(crate) fn close(&self) -> Result<()> {
        self.end();
        self.write();
        let mut state = self.lock();
        match state.failure.take() {
            Some(error) => Err(Error::from(error).with_uri(state.path.display().to_string())),
            None => Ok(()),
        }
    }

    fn end(&self) {
        let mut state = self.lock();
        if !state.closed {
            let now = state.now();
            let mut left: Vec<u64> = state.objects.keys().copied().collect();
            left.sort_unstable();
            for writer in left {
                state.end_object(writer, now, json!({"outcome": "not known"}));
            }
            state.count(now);
            // The last record has no comma.
            let end = state.buffer.len().saturating_sub(2);
            state.buffer.truncate(end);
            state.buffer.extend_from_slice(b"\n]\n");
            state.closed = true;
        }
    }

    /// Writes the records that wait.
    fn write(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let records = self.lock().take_records();
        if let Err(error) = file.write_all(&records) {
            self.lock().failure.get_or_insert(error);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // At worst a record is missing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Trace {
    fn on_event(&self, event: &Event<'_>) {
        let mut state = self.lock();
        if state.closed || state.failure.is_some() {
            return;
        }
        let now = state.now();
        state.take(event, now);
        let is_full = state.buffer.len() >= FULL;
        drop(state);
        if is_full {
            self.write();
        }
    }
}

/// How a trace begins, and little else does.
const BEGINNING: &[u8] = b"[\n";

/// A file at `path`, which is new, or was empty or a trace: a name that was meant for a source must
/// not cost what it has.
fn new_file(path: &Path) -> io::Result<File> {
    match File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        created => return created,
    }
    let mut start = Vec::new();
    if fs::metadata(path)?.is_file() {
        let room = BEGINNING.len() as u64 + 1;
        File::open(path)?.take(room).read_to_end(&mut start)?;
    } else {
        start.push(0);
    }
    if start.is_empty() || (start.starts_with(BEGINNING) && start.ends_with(b"{")) {
        return File::create(path);
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "is there, and is no trace: --trace needs a file of its own",
    ))
}

impl State {
    /// Microseconds since the beginning.
    fn now(&self) -> f64 {
        self.start.elapsed().as_nanos() as f64 / 1_000.0
    }

    fn take(&mut self, event: &Event<'_>, now: f64) {
        let writer = event.writer;
        match event.kind {
            EventKind::Opened { size } => {
                let object = Object {
                    uri: event.uri.to_owned(),
                    ..Object::default()
                };
                self.objects.insert(writer, object);
                let args = json!({"uri": event.uri, "size": size});
                self.async_slice("b", "object", event.uri, &object_id(writer), now, args);
            }
            EventKind::Queued {
                part,
                bytes,
                memory,
            } => self.queued(writer, part, bytes, memory, now),
            EventKind::Began {
                step: Step::Part(part),
                attempt,
            } => self.part_began(writer, part, attempt, now),
            EventKind::Began { step, attempt } => self.step_began(writer, step, attempt, now),
            EventKind::Sent {
                part,
                attempt,
                sent,
                of,
            } => self.sent(writer, part, attempt, (sent, of), now),
            EventKind::Repeated { part } => {
                let first = self.part(writer, part).and_then(|part| part.tries.first());
                if let Some(lane) = first.map(|one| one.lane) {
                    self.instant(lane, "late, sent a second time", now, json!({}));
                }
            }
            EventKind::Retried {
                step,
                attempt,
                error,
            } => self.retried(writer, step, attempt, error, now),
            EventKind::Done {
                step: Step::Part(part),
                reused,
                ..
            } => {
                let outcome = if reused { "there already" } else { "stored" };
                self.end_part(writer, part, now, &json!({"outcome": outcome}));
            }
            EventKind::Failed {
                step: Step::Part(part),
                error,
            } => self.end_part(writer, part, now, &failure(error)),
            EventKind::Done { step, .. } => self.end_step(writer, step, now, &json!({})),
            EventKind::Failed { step, error } => self.end_step(writer, step, now, &failure(error)),
            EventKind::Written { bytes } => {
                if let Some(object) = self.objects.get_mut(&writer) {
                    self.counters.moved += bytes.saturating_sub(object.written);
                    object.written = bytes;
                }
            }
            EventKind::Finished { bytes } => {
                let args = json!({"outcome": "stored", "bytes": bytes});
                self.end_object(writer, now, args);
            }
            EventKind::GivenUp { error } => {
                let args = error.map_or_else(|| json!({"outcome": "given up"}), failure);
                self.end_object(writer, now, args);
            }
            _ => {}
        }
    }

    fn queued(&mut self, writer: u64, number: u32, bytes: u64, memory: u64, now: f64) {
        let Some(object) = self.objects.get_mut(&writer) else {
            return;
        };
        let part = Part {
            bytes,
            memory,
            ..Part::default()
        };
        object.parts.insert(number, part);
        self.counters.buffered += memory;
        let id = part_id(writer, number);
        let args = json!({"part": number, "bytes": bytes});
        self.async_slice("b", "queue", "queued", &id, now, args);
    }

    fn part_began(&mut self, writer: u64, number: u32, attempt: u32, now: f64) {
        let Some(part) = self.part(writer, number) else {
            return;
        };
        let (bytes, is_first) = (part.bytes, part.tries.is_empty());
        let mut tries = part.tries.iter_mut();
        if let Some(again) = tries.find(|one| one.phase == Phase::BackingOff) {
            again.phase = Phase::Sending;
            again.attempt = attempt;
            again.sent = 0;
            let lane = again.lane;
            self.slice("E", lane, Phase::BackingOff.name(), now, json!({}));
            return self.slice("B", lane, Phase::Sending.name(), now, attempted(attempt));
        }
        let lane = self.take_lane();
        let one = Try {
            attempt,
            lane,
            phase: Phase::Sending,
            sent: 0,
        };
        if let Some(part) = self.part(writer, number) {
            part.tries.push(one);
        }
        let mut name = format!("part {number}");
        if is_first {
            let id = part_id(writer, number);
            self.async_slice("e", "queue", "queued", &id, now, json!({}));
            self.counters.in_flight += 1;
        } else {
            name += " again";
        }
        let args = json!({"object": object_id(writer), "part": number, "bytes": bytes});
        self.slice("B", lane, &name, now, args);
        self.slice("B", lane, Phase::Sending.name(), now, attempted(attempt));
    }

    fn sent(&mut self, writer: u64, number: u32, attempt: u32, (sent, of): (u64, u64), now: f64) {
        let Some(part) = self.part(writer, number) else {
            return;
        };
        let mut tries = part.tries.iter_mut();
        let Some(one) = tries.find(|one| one.attempt == attempt) else {
            return;
        };
        let moved = sent.saturating_sub(one.sent);
        one.sent = sent;
        let is_all = sent >= of && one.phase == Phase::Sending;
        let lane = one.lane;
        if is_all {
            one.phase = Phase::Waiting;
        }
        self.counters.moved += moved;
        if is_all {
            self.slice("E", lane, Phase::Sending.name(), now, json!({}));
            self.slice("B", lane, Phase::Waiting.name(), now, json!({}));
        }
    }

    fn retried(&mut self, writer: u64, step: Step, attempt: u32, error: &Error, now: f64) {
        let args = json!({
            "step": step.to_string(),
            "attempt": attempt,
            "reason": error.kind().to_string(),
            "error": error.message(),
        });
        let Step::Part(number) = step else {
            let object = self.objects.get(&writer);
            let lane = object.and_then(|object| object.steps.get(&step)).copied();
            return self.instant(lane.unwrap_or_default(), "retry", now, args);
        };
        let Some(part) = self.part(writer, number) else {
            return;
        };
        part.retries += 1;
        let mut tries = part.tries.iter_mut();
        // Without a try it did not even begin.
        let Some(one) = tries.find(|one| one.attempt == attempt) else {
            return;
        };
        let (lane, phase) = (one.lane, one.phase);
        one.phase = Phase::BackingOff;
        self.slice("E", lane, phase.name(), now, json!({}));
        self.instant(lane, "retry", now, args);
        self.slice("B", lane, Phase::BackingOff.name(), now, json!({}));
    }

    fn end_part(&mut self, writer: u64, number: u32, now: f64, args: &Value) {
        let object = self.objects.get_mut(&writer);
        let Some(part) = object.and_then(|object| object.parts.remove(&number)) else {
            return;
        };
        self.counters.buffered = self.counters.buffered.saturating_sub(part.memory);
        let mut args = args.clone();
        args["retries"] = part.retries.into();
        if part.tries.is_empty() {
            // It never left: it was there, or its object has ended before.
            let id = part_id(writer, number);
            return self.async_slice("e", "queue", "queued", &id, now, args);
        }
        self.counters.in_flight = self.counters.in_flight.saturating_sub(1);
        for (index, one) in part.tries.iter().enumerate() {
            let name = match index {
                0 => format!("part {number}"),
                _ => format!("part {number} again"),
            };
            self.slice("E", one.lane, one.phase.name(), now, json!({}));
            self.slice("E", one.lane, &name, now, args.clone());
            self.lanes[one.lane] = false;
        }
    }

    fn step_began(&mut self, writer: u64, step: Step, attempt: u32, now: f64) {
        if !self.objects.contains_key(&writer) || attempt > 1 {
            return;
        }
        let lane = self.take_lane();
        if let Some(object) = self.objects.get_mut(&writer) {
            object.steps.insert(step, lane);
        }
        let args = json!({"object": object_id(writer)});
        self.slice("B", lane, &step.to_string(), now, args);
    }

    fn end_step(&mut self, writer: u64, step: Step, now: f64, args: &Value) {
        let object = self.objects.get_mut(&writer);
        if let Some(lane) = object.and_then(|object| object.steps.remove(&step)) {
            self.slice("E", lane, &step.to_string(), now, args.clone());
            self.lanes[lane] = false;
        }
    }

    fn end_object(&mut self, writer: u64, now: f64, args: Value) {
        let Some(object) = self.objects.get(&writer) else {
            return;
        };
        let mut parts: Vec<u32> = object.parts.keys().copied().collect();
        parts.sort_unstable();
        let steps: Vec<Step> = object.steps.keys().copied().collect();
        for part in parts {
            self.end_part(writer, part, now, &json!({"outcome": "given up"}));
        }
        for step in steps {
            self.end_step(writer, step, now, &json!({"outcome": "given up"}));
        }
        if let Some(object) = self.objects.remove(&writer) {
            let id = object_id(writer);
            self.async_slice("e", "object", &object.uri, &id, now, args);
        }
    }

    /// Tells the counters.
    fn count(&mut self, now: f64) {
        let seconds = self.counted.elapsed().as_secs_f64();
        self.counted = Instant::now();
        let Counters {
            in_flight,
            buffered,
            moved,
        } = self.counters;
        self.counters.moved = 0;
        let speed = moved as f64 / f64::max(seconds, 1e-6) / f64::from(1 << 20);
        let counters = [
            ("parts in flight", "parts", in_flight as f64),
            ("bytes buffered", "bytes", buffered as f64),
            ("throughput", "MiB/s", (speed * 100.0).round() / 100.0),
        ];
        for (index, (name, unit, value)) in counters.into_iter().enumerate() {
            // One that stays as it is needs no record.
            if self.told[index].to_bits() != value.to_bits() {
                self.told[index] = value;
                let args = json!({unit: value});
                self.push(&json!({"name": name, "ph": "C", "pid": PID, "ts": now, "args": args}));
            }
        }
    }

    fn part(&mut self, writer: u64, number: u32) -> Option<&mut Part> {
        self.objects.get_mut(&writer)?.parts.get_mut(&number)
    }

    fn take_lane(&mut self) -> usize {
        if let Some(free) = self.lanes.iter().position(|taken| !taken) {
            self.lanes[free] = true;
            return free;
        }
        let lane = self.lanes.len();
        self.lanes.push(true);
        let tid = lane + 1;
        let name = json!({"name": format!("lane {tid}")});
        self.push(&json!({
            "name": "thread_name", "ph": "M", "pid": PID, "tid": tid, "args": name
        }));
        lane
    }

    fn slice(&mut self, phase: &str, lane: usize, name: &str, now: f64, args: Value) {
        self.push(&json!({
            "name": name, "cat": "request", "ph": phase, "pid": PID, "tid": lane + 1, "ts": now,
            "args": args
        }));
    }

    fn instant(&mut self, lane: usize, name: &str, now: f64, args: Value) {
        self.push(&json!({
            "name": name, "cat": "request", "ph": "i", "s": "t", "pid": PID, "tid": lane + 1,
            "ts": now, "args": args
        }));
    }

    fn async_slice(&mut self, phase: &str, cat: &str, name: &str, id: &str, now: f64, args: Value) {
        self.push(&json!({
            "name": name, "cat": cat, "ph": phase, "id": id, "pid": PID, "tid": 0, "ts": now,
            "args": args
        }));
    }

    fn push(&mut self, record: &Value) {
        // Text and numbers can't fail to be written to memory.
        if serde_json::to_writer(&mut self.buffer, record).is_ok() {
            self.buffer.extend_from_slice(b",\n");
        }
    }

    fn take_records(&mut self) -> Vec<u8> {
        // What comes after the last comma is not known yet: it stays, as the comma does.
        let kept = if self.buffer.ends_with(b",\n") { 2 } else { 0 };
        let rest = self.buffer.split_off(self.buffer.len() - kept);
        mem::replace(&mut self.buffer, rest)
    }
}

/// Tells the counters and writes what there is, again and again: a program that hangs, and is
/// killed, has said so.
fn keep_up(trace: &Weak<Trace>) {
    loop {
        thread::sleep(COUNT_EVERY);
        let Some(trace) = trace.upgrade() else { return };
        let mut state = trace.lock();
        if state.closed {
            return;
        }
        let now = state.now();
        state.count(now);
        drop(state);
        trace.write();
    }
}

fn object_id(writer: u64) -> String {
    format!("object {writer}")
}

fn part_id(writer: u64, number: u32) -> String {
    format!("object {writer} part {number}")
}

fn attempted(attempt: u32) -> Value {
    json!({"attempt": attempt})
}

fn failure(error: &Error) -> Value {
    json!({"outcome": "failed", "reason": error.kind().to_string(), "error": error.message()})
}
