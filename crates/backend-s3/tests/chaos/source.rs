//! A file that changes while it is written from.

use std::fs::File;
use std::io::Result as IoResult;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use backend_s3::S3ObjectStore;
use fastrand::Rng;
use tokio::time::sleep;

use crate::act::{Done, feed, open};
use crate::setup::Setup;

/// How a write from a changing file ended.
pub(crate) struct Changed {
    pub(crate) done: Done,
    /// It changed before `finish` was called, so this must be noticed.
    pub(crate) before_finish: bool,
}

pub(crate) async fn write(setup: &mut Setup, store: &S3ObjectStore) -> Changed {
    let mut rng = setup.rng.fork();
    setup
        .server
        .set_latency(Duration::from_micros(rng.u64(..3_000)));
    let meddler = setup.meddler.take().unwrap();
    let mut writer = open(setup, store).await.unwrap();
    feed(&mut *writer, setup, &mut rng, setup.pieces.len())
        .await
        .unwrap();
    let before_finish = rng.bool();
    if before_finish {
        sleep(Duration::from_micros(rng.u64(..6_000))).await;
        meddle(&meddler, &mut rng, setup.new.len() as u64).unwrap();
        let done = Done::Finished(writer.finish().await);
        return Changed {
            done,
            before_finish,
        };
    }
    let meddling = async {
        sleep(Duration::from_micros(rng.u64(..40_000))).await;
        meddle(&meddler, &mut rng, setup.new.len() as u64).unwrap();
    };
    let (finished, ()) = tokio::join!(writer.finish(), meddling);
    Changed {
        done: Done::Finished(finished),
        before_finish,
    }
}

fn meddle(file: &File, rng: &mut Rng, len: u64) -> IoResult<()> {
    match rng.u8(..4) {
        0 => file.set_len(rng.u64(..len)),
        1 => file.write_all_at(b"more", len),
        2 => {
            file.set_len(0)?;
            file.write_all_at(&vec![rng.u8(..); len as usize], 0)
        }
        _ => {
            let at = rng.u64(..len);
            let mut byte = [0];
            file.read_exact_at(&mut byte, at)?;
            file.write_all_at(&[!byte[0]], at)
        }
    }
}
