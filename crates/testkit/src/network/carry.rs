//! Carries the bytes of one connection, as its fate has it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Notify;
use tokio::time::sleep;

use super::plan::{Direction, Effect, Fate};

/// The most that is read at once.
const PIECE: u64 = 16 * 1024;

/// Carries until both sides have closed, or the connection is reset.
pub(super) async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    fate: &Fate,
    injected: &AtomicU64,
    outage: &Notify,
) {
    for stream in [&client, &server] {
        // Only delays small writes when it fails.
        let _ = stream.set_nodelay(true);
        // A stream that is dropped from now on is reset.
        let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
    if !fate.latency.is_zero() || fate.bandwidth > 0 {
        injected.fetch_add(1, Ordering::SeqCst);
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let up = Lane::new(Direction::Up, fate, injected, outage);
    let down = Lane::new(Direction::Down, fate, injected, outage);
    let carried = tokio::try_join!(
        up.carry(from_client, to_server),
        down.carry(from_server, to_client)
    );
    if carried.is_ok() {
        for stream in [&client, &server] {
            // Both ends were told already.
            let _ = SockRef::from(stream).set_linger(None);
        }
    }
}

/// One direction of a connection.
struct Lane<'a> {
    fate: &'a Fate,
    rng: Rng,
    /// Bytes until trouble strikes here, if it does.
    left: Option<u64>,
    injected: &'a AtomicU64,
    outage: &'a Notify,
}

impl<'a> Lane<'a> {
    fn new(
        direction: Direction,
        fate: &'a Fate,
        injected: &'a AtomicU64,
        outage: &'a Notify,
    ) -> Self {
        let strike = fate.strike.filter(|strike| strike.direction == direction);
        Self {
            fate,
            rng: Rng::with_seed(fate.seed),
            left: strike.map(|strike| strike.after_bytes),
            injected,
            outage,
        }
    }

    async fn carry(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
        let mut buffer = vec![0; PIECE as usize];
        loop {
            let most = self.left.unwrap_or(PIECE).min(PIECE) as usize;
            if most == 0 {
                // At the byte that is to come, not while nobody sends any.
                self.left = None;
                if from.peek(&mut [0]).await? > 0 {
                    self.strike(&mut from, &mut to, &mut buffer).await?;
                }
                continue;
            }
            let read = from.read(&mut buffer[..most]).await?;
            if read == 0 {
                return to.shutdown().await;
            }
            self.pass(read).await;
            to.write_all(&buffer[..read]).await?;
        }
    }

    async fn pass(&mut self, bytes: usize) {
        if let Some(left) = &mut self.left {
            *left -= bytes as u64;
        }
        let late = self.fate.latency.mul_f64(self.rng.f64());
        let pace = match self.fate.bandwidth {
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(bytes as f64 / rate as f64),
        };
        if !(late + pace).is_zero() {
            sleep(late + pace).await;
        }
    }

    /// What goes wrong, once; an error resets the connection.
    async fn strike(
        &mut self,
        from: &mut ReadHalf<'_>,
        to: &mut WriteHalf<'_>,
        lost: &mut [u8],
    ) -> io::Result<()> {
        let Some(strike) = self.fate.strike else {
            return Ok(());
        };
        self.injected.fetch_add(1, Ordering::SeqCst);
        match strike.effect {
            Effect::Stall(duration) => sleep(duration).await,
            Effect::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
            Effect::Outage => {
                self.outage.notify_one();
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Effect::HalfClose => {
                to.shutdown().await?;
                // What still comes is taken and lost.
                while from.read(lost).await? > 0 {}
            }
        }
        Ok(())
    }
}
