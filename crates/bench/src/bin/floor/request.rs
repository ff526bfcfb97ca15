//! One HTTP/1.1 request to a presigned URL, and its answer.

use std::str::FromStr;

use anyhow::{Context as _, Result, bail};
use http::Uri;

use crate::connection::Connection;

/// No answer's head is longer than this, in bytes.
const HEAD_LIMIT: usize = 64 * 1024;

/// A URL: where to connect to, and what to ask for there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Whether it is HTTPS.
    pub(crate) tls: bool,
    /// The name or address to connect to.
    pub(crate) host: String,
    pub(crate) port: u16,
    authority: String,
    path: String,
}

impl FromStr for Target {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> Result<Self> {
        let uri: Uri = url.parse()?;
        let (tls, default_port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => bail!("expected http://… or https://…"),
        };
        let authority = uri.authority().context("no host")?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            tls,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(default_port),
            authority: authority.as_str().to_owned(),
            path: path.to_owned(),
        })
    }
}

impl Target {
    /// The head of a PUT of `length` bytes.
    pub(crate) fn head(&self, length: u64) -> String {
        let Self {
            path, authority, ..
        } = self;
        format!("PUT {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {length}\r\n\r\n")
    }
}

/// Reads the head of the answer.
///
/// # Errors
///
/// If there is none, or its status is not 200.
pub(crate) fn read_answer(connection: &mut Connection) -> Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = connection.read(&mut buffer).context("no answer")?;
        if read == 0 || head.len() > HEAD_LIMIT {
            bail!("no answer");
        }
        head.extend_from_slice(&buffer[..read]);
    }
    if !head.starts_with(b"HTTP/1.1 200 ") {
        bail!("the answer is\n{}", String::from_utf8_lossy(&head));
    }
    Ok(())
}
