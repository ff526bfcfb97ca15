//! The progress that is shown on a terminal.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use super::numbers::{Numbers, SoFar};
use crate::args::watch::When;
use crate::tally::grouped;
use crate::terminal;

/// How often it is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// What is over sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(200);

/// The speed is that of so long ago until now.
const WINDOW: Duration = Duration::from_secs(5);

/// Steps of the bar itself; its length is not in bytes, so that it may stand for objects.
const STEPS: u64 = 1_000;

/// Columns of a bar with its brackets, and one that stays free.
const BESIDE: usize = 28;

/// What is to be done in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) objects: u64,
    /// Bytes, if they are known beforehand.
    pub(crate) bytes: Option<u64>,
}

/// Whether progress is shown, as the user and the terminal have it.
pub(crate) fn is_wanted(when: When, quiet: bool) -> bool {
    match when {
        When::Never => false,
        When::Always => true,
        When::Auto => {
            let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            !quiet && has_colours() && !is_dumb && io::stderr().is_terminal()
        }
    }
}

/// <https://no-color.org>: not if the variable is there, and not empty.
fn has_colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Draws on standard error until it is dropped.
#[derive(Debug)]
pub(crate) struct Bar {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bar {
    /// Shows `numbers` on their way to `goal`.
    ///
    /// # Errors
    ///
    /// If there can be no thread for it.
    pub(crate) fn show(numbers: Arc<Numbers>, goal: Goal) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new()
            .name("progress".into())
            .spawn(move || {
                let start = Instant::now();
                let mut wait = PATIENCE;
                let mut drawing = None;
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(wait) {
                    wait = DRAW_EVERY;
                    let drawing = drawing.get_or_insert_with(|| Drawing::begin(goal, start));
                    drawing.draw(numbers.so_far());
                }
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // One that has panicked draws no more, either.
            let _ended = thread.join();
        }
        terminal::clear();
    }
}

struct Drawing {
    bar: ProgressBar,
    /// What stands beside the bar: apart from it, so that all is drawn at once.
    text: Arc<Mutex<String>>,
    goal: Goal,
    start: Instant,
    speed: Speed,
    has_bar: Option<bool>,
}

impl Drawing {
    fn begin(goal: Goal, start: Instant) -> Self {
        let target = match io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr_with_hz(20),
            false => ProgressDrawTarget::term_like_with_hz(Box::new(NoTerminal), 20),
        };
        let bar = ProgressBar::with_draw_target(Some(STEPS), target);
        if !terminal::show(bar.clone()) {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self {
            bar,
            text: Arc::default(),
            goal,
            start,
            speed: Speed::default(),
            has_bar: None,
        }
    }

    fn draw(&mut self, so_far: SoFar) {
        let elapsed = self.start.elapsed();
        let speed = self.speed.of(elapsed, so_far.bytes);
        let total = total(so_far, self.goal);
        let share = match total {
            Some(total) => Some(share(so_far.bytes, total)),
            None if self.goal.objects > 1 => Some(share(so_far.stored, self.goal.objects)),
            None => None,
        };
        if self.has_bar != Some(share.is_some()) {
            self.has_bar = Some(share.is_some());
            let style = style(share.is_some(), has_colours(), Arc::clone(&self.text));
            self.bar.set_style(style);
        }
        let fields = fields(so_far, self.goal, total, elapsed, speed);
        let room = usize::from(columns()).saturating_sub(BESIDE);
        *lock(&self.text) = fitted(&fields, room);
        self.bar.update(|bar| bar.set_pos(share.unwrap_or(0)));
    }
}

fn lock(text: &Mutex<String>) -> MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many characters fit a line of standard error.
fn columns() -> u16 {
    let known = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let known = known.map(|size| size.ws_col).filter(|columns| *columns > 0);
    let said = || std::env::var("COLUMNS").ok()?.parse().ok();
    known.or_else(said).unwrap_or(80)
}

fn template(has_bar: bool, has_colours: bool) -> &'static str {
    match (has_bar, has_colours) {
        (true, true) => "[{bar:24.cyan}] {line}",
        (true, false) => "[{bar:24}] {line}",
        (false, true) => "{spinner:.cyan} {line}",
        (false, false) => "{spinner} {line}",
    }
}

fn style(has_bar: bool, has_colours: bool, text: Arc<Mutex<String>>) -> ProgressStyle {
    let template = template(has_bar, has_colours);
    let style = ProgressStyle::default_bar().progress_chars("=> ");
    // The templates are those above, and a test takes them all.
    style
        .clone()
        .template(template)
        .unwrap_or(style)
        .tick_chars("-\\|/ ")
        .with_key(
            "line",
            move |_: &ProgressState, out: &mut dyn fmt::Write| {
                // Of a line that can't be formatted nothing is shown.
                let _ = out.write_str(&lock(&text));
            },
        )
}

/// How many bytes there are in all, as far as that is known.
fn total(so_far: SoFar, goal: Goal) -> Option<u64> {
    if so_far.is_open {
        return None;
    }
    match goal.bytes {
        Some(bytes) => Some(bytes.max(so_far.size)),
        None if goal.objects == 1 && so_far.size > 0 => Some(so_far.size),
        None => None,
    }
}

fn share(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * u128::from(STEPS) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(STEPS).min(STEPS)
}

/// One thing that stands beside the bar. Where the terminal is narrow, the least rank goes first.
#[derive(Debug)]
struct Field {
    rank: u8,
    text: String,
}

/// What stands beside the bar.
fn fields(
    so_far: SoFar,
    goal: Goal,
    total: Option<u64>,
    elapsed: Duration,
    speed: f64,
) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut add = |rank, text| fields.push(Field { rank, text });
    let bytes = human(so_far.bytes as f64);
    match total {
        Some(total) => {
            let percent = share(so_far.bytes, total) / (STEPS / 100);
            let total = human(total as f64);
            add(5, format!("{percent:>3}% {bytes} of {total}"));
        }
        None => add(5, bytes),
    }
    if goal.objects > 1 {
        let (stored, objects) = (grouped(so_far.stored), grouped(goal.objects));
        add(2, format!("{stored} of {objects} objects"));
    }
    add(4, format!("{}/s", human(speed)));
    match total.map(|total| total.saturating_sub(so_far.bytes)) {
        Some(0) => add(3, "finishing".into()),
        Some(rest) if speed >= 1.0 => {
            let seconds = (rest as f64 / speed).min(1e9);
            let left = clock(Duration::from_secs_f64(seconds));
            add(3, format!("{left} left"));
        }
        Some(_) => {}
        None => add(3, clock(elapsed)),
    }
    // A disk has no parts.
    match so_far.in_flight {
        0 => {}
        1 => add(0, "1 part in flight".into()),
        parts => add(0, format!("{parts} parts in flight")),
    }
    match so_far.retries {
        0 => {}
        1 => add(1, "1 retry".into()),
        retries => add(1, format!("{retries} retries")),
    }
    fields
}

/// `fields` in a line of at most `room` characters, without those that do not fit.
fn fitted(fields: &[Field], room: usize) -> String {
    let with = |least| {
        let kept = fields.iter().filter(|field| field.rank >= least);
        let texts: Vec<&str> = kept.map(|field| &*field.text).collect();
        texts.join(", ")
    };
    // It is all ASCII.
    let mut lines = (0..=5).map(with);
    lines.find(|line| line.len() <= room).unwrap_or_default()
}

/// `bytes` as people read them: `3.2 GiB`.
pub(crate) fn human(bytes: f64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1_000.0 {
        return format!("{bytes:.0} B");
    }
    let (mut number, mut unit) = (bytes / 1_024.0, UNITS[0]);
    for next in &UNITS[1..] {
        // So that it never has four digits before the point.
        if number < 999.5 {
            break;
        }
        (number, unit) = (number / 1_024.0, next);
    }
    match number < 99.95 {
        true => format!("{number:.1} {unit}"),
        false => format!("{number:.0} {unit}"),
    }
}

/// `time` as people read it: `8 s`, `1:05`, `2:00:05`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes}:{:02}", seconds % 60),
        (hours, minutes) => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
    }
}

/// Bytes per second, of late.
#[derive(Debug, Default)]
struct Speed(VecDeque<(Duration, u64)>);

impl Speed {
    fn of(&mut self, now: Duration, bytes: u64) -> f64 {
        let known = &mut self.0;
        while known.len() > 1 && now.saturating_sub(known[1].0) >= WINDOW {
            known.pop_front();
        }
        let (then, before) = known.front().copied().unwrap_or_default();
        known.push_back((now, bytes));
        let seconds = now.saturating_sub(then).as_secs_f64();
        if seconds > 0.0 {
            bytes.saturating_sub(before) as f64 / seconds
        } else {
            0.0
        }
    }
}

/// Standard error that is no terminal, for those who want progress there all the same.
#[derive(Debug)]
struct NoTerminal;

impl TermLike for NoTerminal {
    fn width(&self) -> u16 {
        columns()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.escape(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.escape(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.escape(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.escape(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        io::stderr().lock().write_all(text.as_bytes())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl NoTerminal {
    fn escape(&self, n: usize, what: char) -> io::Result<()> {
        match n {
            0 => Ok(()),
            n => self.write_str(&format!("\x1b[{n}{what}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: SoFar = SoFar {
        bytes: 512 << 20,
        size: 1 << 30,
        is_open: false,
        stored: 0,
        in_flight: 12,
        retries: 2,
    };

    fn text(so_far: SoFar, objects: u64, bytes: Option<u64>) -> String {
        let goal = Goal { objects, bytes };
        let elapsed = Duration::from_secs(65);
        let total = total(so_far, goal);
        let fields = fields(so_far, goal, total, elapsed, f64::from(64 << 20));
        fitted(&fields, 200)
    }

    #[test]
    fn a_narrow_terminal_shows_whole_fields() {
        let goal = Goal {
            objects: 1,
            bytes: None,
        };
        let elapsed = Duration::from_secs(65);
        let fields = fields(SOME, goal, Some(1 << 30), elapsed, f64::from(64 << 20));
        for (room, text) in [
            (
                80,
                " 50% 512 MiB of 1.0 GiB, 64.0 MiB/s, 8 s left, 12 parts in flight, 2 retries",
            ),
            (
                74,
                " 50% 512 MiB of 1.0 GiB, 64.0 MiB/s, 8 s left, 2 retries",
            ),
            (55, " 50% 512 MiB of 1.0 GiB, 64.0 MiB/s, 8 s left"),
            (44, " 50% 512 MiB of 1.0 GiB, 64.0 MiB/s"),
            (24, " 50% 512 MiB of 1.0 GiB"),
            (22, ""),
        ] {
            assert_eq!(fitted(&fields, room), text, "{room}");
        }
    }

    #[test]
    fn a_known_size_has_an_end() {
        assert_eq!(
            text(SOME, 1, None),
            " 50% 512 MiB of 1.0 GiB, 64.0 MiB/s, 8 s left, 12 parts in flight, 2 retries"
        );
        let end = SoFar {
            bytes: 1 << 30,
            in_flight: 1,
            retries: 1,
            ..SOME
        };
        assert_eq!(
            text(end, 1, None),
            "100% 1.0 GiB of 1.0 GiB, 64.0 MiB/s, finishing, 1 part in flight, 1 retry"
        );
    }

    #[test]
    fn without_a_size_there_is_the_time_that_it_took() {
        let open = SoFar {
            is_open: true,
            in_flight: 0,
            retries: 0,
            ..SOME
        };
        assert_eq!(text(open, 1, None), "512 MiB, 64.0 MiB/s, 1:05");
        assert_eq!(
            text(open, 1_200, Some(1 << 30)),
            "512 MiB, 0 of 1,200 objects, 64.0 MiB/s, 1:05"
        );
    }

    #[test]
    fn of_several_objects_all_bytes_count() {
        let text = text(SOME, 3, Some(2 << 30));
        assert!(
            text.starts_with(" 25% 512 MiB of 2.0 GiB, 0 of 3 objects, "),
            "{text}"
        );
    }

    #[test]
    fn numbers_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 KiB"),
            (102_348, "99.9 KiB"),
            (102_350, "100 KiB"),
            (1_023_999, "1.0 MiB"),
            (10 << 30, "10.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(human(bytes as f64), text, "{bytes}");
        }
        let times = [8, 65, 7_205].map(|seconds| clock(Duration::from_secs(seconds)));
        assert_eq!(times, ["8 s", "1:05", "2:00:05"]);
    }

    #[test]
    fn the_speed_is_that_of_the_last_seconds() {
        let mut speed = Speed::default();
        let mut last = 0.0;
        for second in 1..=20 {
            let bytes = if second <= 10 { 0 } else { (second - 10) * 100 };
            last = speed.of(Duration::from_secs(second), bytes);
        }
        assert!((last - 100.0).abs() < 1.0, "{last}");
        assert!(speed.0.len() < 10, "{}", speed.0.len());
        let back = speed.of(Duration::from_secs(21), 0);
        assert!(back.abs() < 1.0, "what failed is no speed: {back}");
    }

    #[test]
    fn every_style_is_one() {
        for has_bar in [true, false] {
            for has_colours in [true, false] {
                let template = ProgressStyle::with_template(template(has_bar, has_colours));
                assert!(template.is_ok(), "{has_bar} {has_colours}");
            }
        }
    }
}
