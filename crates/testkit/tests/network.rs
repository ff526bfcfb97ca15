//! A network that goes wrong as it is told, and never otherwise.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used)]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::network::{Network, Options, Trouble};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SIZE: usize = 100_000;

/// A server that says back what it is told.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = socket.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

async fn network(trouble: Trouble, options: Options) -> Network {
    let server = echo().await;
    Network::with_options(server, trouble, 7, options)
        .await
        .unwrap()
}

/// What comes back over one connection, or how it failed.
async fn talk(network: &Network) -> Result<Vec<u8>, ErrorKind> {
    let mut socket = TcpStream::connect(network.address())
        .await
        .map_err(|error| error.kind())?;
    let (mut from, mut to) = socket.split();
    let send = async {
        let _ = to.write_all(&[7; SIZE]).await;
        let _ = to.shutdown().await;
    };
    let mut said = Vec::new();
    let (read, ()) = tokio::join!(from.read_to_end(&mut said), send);
    read.map(|_| said).map_err(|error| error.kind())
}

fn within(bytes: u64) -> Options {
    Options {
        within: bytes,
        strikes: 1,
        pause: Duration::from_millis(300),
    }
}

#[tokio::test]
async fn a_reset_strikes_once_and_then_all_is_well() {
    let network = network(Trouble::Reset, within(SIZE as u64)).await;
    assert_eq!(talk(&network).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(talk(&network).await.unwrap(), [7; SIZE]);
    assert_eq!(network.injected(), 1);
}

#[tokio::test]
async fn half_of_a_connection_is_closed_and_the_rest_is_missing() {
    let network = network(Trouble::HalfClose, within(SIZE as u64 / 2)).await;
    let said = talk(&network).await.unwrap();
    assert!(said.len() <= SIZE / 2, "{}", said.len());
    assert_eq!(network.injected(), 1);
}

#[tokio::test]
async fn a_stall_lasts_as_long_as_it_should() {
    let network = network(Trouble::Stall, within(SIZE as u64)).await;
    let start = Instant::now();
    assert_eq!(talk(&network).await.unwrap(), [7; SIZE]);
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(network.injected(), 1);
}

#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let network = network(Trouble::Refuse, within(SIZE as u64)).await;
    let mut bystander = TcpStream::connect(network.address()).await.unwrap();
    // The first connection has its share; whichever is struck takes the other along.
    while network.injected() == 0 {
        let _ = bystander.write_all(&[7; 1000]).await;
        let _ = talk(&network).await;
    }
    let mut refused = 0;
    while talk(&network).await != Ok(vec![7; SIZE]) {
        refused += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(refused > 0, "it listened all the time");
    // After what had come back before.
    let cut = bystander.read_to_end(&mut Vec::new()).await;
    assert_eq!(cut.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn slow_and_late_is_all_there() {
    for trouble in [Trouble::Latency, Trouble::Throttle] {
        let network = network(trouble, Options::default()).await;
        let start = Instant::now();
        assert_eq!(talk(&network).await.unwrap(), [7; SIZE]);
        assert!(start.elapsed() > Duration::from_millis(5), "{trouble:?}");
        assert_eq!(network.injected(), 1);
    }
}
