//! `bench`: what writing costs, here and with these settings.

mod data;
mod parts;
mod row;
mod scratch;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, spawn_blocking};
use writer_core::{ObjectStore, Result, WriterOptions};

use self::data::Data;
use self::parts::Parts;
use self::row::{Row, csv_heading, heading};
use self::scratch::Scratch;
use super::Context;
use crate::args::BenchArgs;
use crate::exit;
use crate::usage;

/// What is the same for all objects of a line.
#[derive(Clone, Debug)]
struct Setting {
    /// Bytes of each object.
    size: u64,
    options: WriterOptions,
}

/// When no other object is begun.
#[derive(Clone, Copy, Debug)]
enum Until {
    Objects(u64),
    Over(Duration),
}

/// One line at work.
struct Bench {
    store: Arc<dyn ObjectStore>,
    scratch: Arc<Scratch>,
    data: Data,
    setting: Setting,
    until: Until,
    start: Instant,
    /// How many objects were begun.
    begun: AtomicU64,
}

pub(super) async fn run(context: &Context, args: BenchArgs) -> anyhow::Result<()> {
    let settings = settings(&args)?;
    let until = args
        .duration
        .map_or(Until::Objects(args.objects), Until::Over);
    let scratch = Arc::new(Scratch::below(&args.prefix));
    let data = spawn_blocking(Data::new).await?;
    let is_json = context.printer.is_json();
    let mut heading = match args.csv {
        _ if is_json => None,
        true => Some(csv_heading() + "\n"),
        false => Some(heading() + "\n"),
    };
    for setting in settings {
        let row = measure_and_remove(context, &scratch, &data, setting, until, args.keep).await?;
        let line = match args.csv {
            _ if is_json => row.json().to_string(),
            true => row.csv(),
            false => row.line(),
        };
        let text = heading.take().unwrap_or_default() + &line + "\n";
        if context.printer.text(text).await?.is_break() {
            // Nobody reads the rest.
            break;
        }
    }
    if args.keep && !context.quiet {
        exit::notice(&format!("kept: {}…", scratch.stem()));
    }
    Ok(())
}

/// Every combination of what the lists say, checked before anything is written.
fn settings(args: &BenchArgs) -> Result<Vec<Setting>> {
    // The fault of a variable that an option overrides does not matter.
    let default = WriterOptions::from_vars(|name| match name {
        WriterOptions::PART_SIZE_VAR if !args.part_size.is_empty() => None,
        WriterOptions::INFLIGHT_VAR if !args.max_concurrency.is_empty() => None,
        name => env::var_os(name),
    })?
    .with_checksums(!args.no_checksum);
    let or = |list: &[u64], one: u64| match list {
        [] => vec![one],
        list => list.to_vec(),
    };
    let (part_sizes, concurrencies) = (
        or(&args.part_size, default.part_size),
        or(&args.max_concurrency, default.max_concurrency as u64),
    );
    let mut settings = Vec::new();
    for &size in &args.size {
        for &part_size in &part_sizes {
            for &concurrency in &concurrencies {
                let options = default
                    .clone()
                    .with_part_size(part_size)
                    .with_max_concurrency(usize::try_from(concurrency).unwrap_or(usize::MAX))
                    .with_expected_size(size);
                options.validate()?;
                settings.push(Setting { size, options });
            }
        }
    }
    Ok(settings)
}

/// Measures a line with a store of its own, so that none inherits connections or memory of the one
/// before.
async fn measure_and_remove(
    context: &Context,
    scratch: &Arc<Scratch>,
    data: &Data,
    setting: Setting,
    until: Until,
    keep: bool,
) -> anyhow::Result<Row> {
    let stores = context.stores.anew();
    let store = context.signals.guard(stores.get(scratch.stem())).await?;
    let first = scratch.next();
    let bench = Bench {
        store: Arc::clone(&store),
        scratch: Arc::clone(scratch),
        data: data.clone(),
        setting,
        until,
        start: Instant::now(),
        begun: AtomicU64::new(0),
    };
    let measured = bench.measure(context, first).await;
    // What a signal dropped may be stored up to here, and not later.
    let closed = stores.close().await;
    // However it ended, and whatever signal came: the next one ends the program.
    let removed = match keep {
        true => Ok(()),
        false => scratch.remove(&store, first).await,
    };
    let left = closed.and(removed);
    match measured {
        Ok(row) => left.map(|()| row).map_err(Into::into),
        Err(error) => {
            if let Err(left) = left {
                exit::warn(&left.to_string());
            }
            Err(error)
        }
    }
}

impl Bench {
    /// Writes one object ahead, of number `first`, and then those that count.
    async fn measure(mut self, context: &Context, first: u64) -> anyhow::Result<Row> {
        let ahead = self.setting.size.min(self.setting.options.part_size);
        context.signals.guard(self.write(first, ahead)).await?;
        let at_once = self.at_once();
        let parts = Arc::<Parts>::default();
        let options = self.setting.options.clone();
        self.setting.options = options.with_observer(parts.clone());
        usage::forget_peak();
        let cpu = usage::cpu();
        self.start = Instant::now();
        let bench = Arc::new(self);
        let mut tasks = JoinSet::new();
        for _ in 0..at_once {
            tasks.spawn(Arc::clone(&bench).work());
        }
        let mut latencies = Vec::new();
        let all = async {
            while let Some(ended) = tasks.join_next().await {
                latencies.extend(ended??);
            }
            anyhow::Ok(())
        };
        let ended = context.signals.guard(all).await;
        let wall = bench.start.elapsed();
        let cpu = usage::cpu() - cpu;
        // Writers that are left are dropped before anybody removes what they write.
        tasks.shutdown().await;
        ended?;
        latencies.sort_unstable();
        let (part_times, retries) = parts.take();
        Ok(Row {
            setting: bench.setting.clone(),
            latencies,
            part_times,
            retries,
            wall,
            cpu,
            peak: usage::peak(),
        })
    }

    /// How many objects there are at once: as many as have room for all of their parts.
    fn at_once(&self) -> u64 {
        let options = &self.setting.options;
        let parts = self.setting.size.div_ceil(options.part_size).max(1);
        let most = (options.max_concurrency as u64 / parts).max(1);
        match self.until {
            Until::Objects(objects) => most.min(objects),
            Until::Over(_) => most,
        }
    }

    /// Writes one object after another, and tells how long each took.
    async fn work(self: Arc<Self>) -> Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        while self.is_another_due() {
            let start = Instant::now();
            self.write(self.scratch.next(), self.setting.size).await?;
            latencies.push(start.elapsed());
        }
        Ok(latencies)
    }

    fn is_another_due(&self) -> bool {
        match self.until {
            Until::Objects(objects) => self.begun.fetch_add(1, Ordering::Relaxed) < objects,
            Until::Over(time) => self.start.elapsed() < time,
        }
    }

    async fn write(&self, number: u64, size: u64) -> Result<()> {
        let options = self.setting.options.clone().with_expected_size(size);
        let name = self.scratch.name(number);
        let mut writer = self.store.create_writer(&name, Some(options)).await?;
        match self.data.write(number, size, &mut *writer).await {
            Ok(()) => writer.finish().await.map(drop),
            Err(error) => {
                if let Err(left) = writer.cancel().await {
                    exit::warn(&left.to_string());
                }
                Err(error)
            }
        }
    }
}
