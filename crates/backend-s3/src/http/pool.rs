//! Connections that wait for their next request.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connect::{Connect, Endpoint};
use super::connection::Connection;

/// A connection that has been idle for longer is closed rather than used: the other side may be
/// closing it at that moment, and what is sent then is lost.
pub(super) const IDLE: Duration = Duration::from_secs(10);

pub(super) struct Pool {
    connect: Arc<Connect>,
    /// The one that was used last is last.
    idle: Mutex<HashMap<Endpoint, Vec<(Connection, Instant)>>>,
}

impl Pool {
    pub(super) fn new(connect: Arc<Connect>) -> Self {
        Self {
            connect,
            idle: Mutex::default(),
        }
    }

    /// A connection that nothing else uses.
    pub(super) async fn take(&self, endpoint: &Endpoint) -> io::Result<Connection> {
        if let Some(connection) = self.take_idle(endpoint) {
            return Ok(connection);
        }
        let stream = self.connect.connect(endpoint).await?;
        Ok(Connection::new(stream))
    }

    pub(super) fn put_back(&self, endpoint: Endpoint, connection: Connection) {
        let now = Instant::now();
        let mut idle = self.lock();
        let connections = idle.entry(endpoint).or_default();
        connections.retain(|(_, since)| now.duration_since(*since) < IDLE);
        connections.push((connection, now));
    }

    fn take_idle(&self, endpoint: &Endpoint) -> Option<Connection> {
        let mut idle = self.lock();
        let connections = idle.get_mut(endpoint)?;
        while let Some((mut connection, since)) = connections.pop() {
            if since.elapsed() < IDLE && connection.is_alive() {
                return Some(connection);
            }
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Endpoint, Vec<(Connection, Instant)>>> {
        // Nothing in here can panic half way.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
