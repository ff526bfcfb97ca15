//! What lies between a client and a server, and goes wrong by seed.
//!
//! ```no_run
//! # async fn example(server: &testkit::server::TestServer) -> std::io::Result<()> {
//! use testkit::network::{Network, Trouble};
//!
//! let network = Network::start(server.address(), Trouble::Reset, 17).await?;
//! // Point a client at `network.endpoint()` …
//! assert!(network.injected() > 0);
//! # Ok(())
//! # }
//! ```
//!
//! A TCP proxy, which knows nothing of HTTP: what it cuts, it cuts at any byte of requests and
//! answers, in any request of a connection, and between them. The seed and the number of a
//! connection say what happens to it; of those that break connections, no more than
//! [`Options::strikes`] do, so a client that tries again gets through.

mod carry;
mod plan;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use carry::carry;
use plan::Plan;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// Everything is late, by a time that varies.
    Latency,
    /// Connections are slow.
    Throttle,
    /// Nothing moves in one direction for [`Options::pause`].
    Stall,
    /// All connections are reset, and new ones refused for a while.
    Refuse,
    /// Connections are reset.
    Reset,
    /// One direction is closed in an orderly way, while the other goes on.
    HalfClose,
}

/// How much goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Trouble strikes after 0 to so many bytes of one direction of a connection.
    pub within: u64,
    /// Most connections that are broken or stalled.
    pub strikes: u64,
    /// How long a stall is, or connections are refused at most.
    pub pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            within: 64 * 1024,
            strikes: 4,
            pause: Duration::from_millis(50),
        }
    }
}

/// A network; dropping it cuts all connections.
#[derive(Debug)]
pub struct Network {
    address: SocketAddr,
    injected: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Network {
    /// A network with the usual amount of `trouble`, in front of `server`.
    ///
    /// # Errors
    /// If there is no port to listen on.
    pub async fn start(server: SocketAddr, trouble: Trouble, seed: u64) -> io::Result<Self> {
        Self::with_options(server, trouble, seed, Options::default()).await
    }

    /// As [`start`](Self::start), with as much trouble as `options` say.
    ///
    /// # Errors
    /// If there is no port to listen on.
    pub async fn with_options(
        server: SocketAddr,
        trouble: Trouble,
        seed: u64,
        options: Options,
    ) -> io::Result<Self> {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into())?.listen(1024)?;
        let address = listener.local_addr()?;
        let injected = Arc::new(AtomicU64::new(0));
        let lines = Lines {
            server,
            plan: Plan::new(trouble, seed, options),
            injected: Arc::clone(&injected),
            outage: Arc::default(),
        };
        Ok(Self {
            address,
            injected,
            task: tokio::spawn(lines.serve(listener, address)),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL to give to a client of a server that speaks plain HTTP.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often trouble has struck: connections that were late or slow, stalled or broken.
    pub fn injected(&self) -> u64 {
        self.injected.load(Ordering::SeqCst)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Lines {
    server: SocketAddr,
    plan: Plan,
    injected: Arc<AtomicU64>,
    /// Told by a connection that takes all the others along.
    outage: Arc<Notify>,
}

impl Lines {
    async fn serve(mut self, mut listener: TcpListener, address: SocketAddr) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    if let Ok((client, _)) = accepted {
                        self.connect(client, &mut connections);
                    }
                }
                Some(_) = connections.join_next() => {}
                () = self.outage.notified() => {
                    connections.shutdown().await;
                    drop(listener);
                    match refuse(address, self.plan.outage()).await {
                        Ok(again) => listener = again,
                        // The port is lost, and stays refused: the test will say so.
                        Err(_) => return,
                    }
                }
            }
        }
    }

    fn connect(&mut self, client: TcpStream, connections: &mut JoinSet<()>) {
        let fate = self.plan.next();
        let (injected, outage) = (Arc::clone(&self.injected), Arc::clone(&self.outage));
        let server = self.server;
        connections.spawn(async move {
            if let Ok(server) = TcpStream::connect(server).await {
                carry(client, server, &fate, &injected, &outage).await;
            }
        });
    }
}

/// Refuses connections for so long: the port is taken, but nobody listens.
async fn refuse(address: SocketAddr, duration: Duration) -> io::Result<TcpListener> {
    let socket = bind(address)?;
    sleep(duration).await;
    socket.listen(1024)
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
