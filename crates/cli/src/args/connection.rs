//! How S3 is talked to.

use std::time::Duration;

use clap::Args as ClapArgs;

use crate::values::{parse_duration, parse_size};

/// What all commands may say of requests to S3.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "S3")]
pub(crate) struct ConnectionArgs {
    /// Send requests without credentials, as anybody may
    #[arg(long, global = true, conflicts_with = "profile")]
    pub(crate) no_sign_request: bool,
    /// Take any certificate for the service's: anyone on the way can read and change what is sent
    ///
    /// For tests. A service with a certificate of its own needs --ca-bundle.
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) no_verify_ssl: bool,
    /// How long a request may make no progress before it is tried again [default: 60s]
    ///
    /// That is, no byte of its body is taken. Answers may take five times as long, because the
    /// kernel holds bytes that are not on the wire yet. A number without a unit is seconds.
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = parse_duration,
        hide_short_help = true
    )]
    pub(crate) timeout: Option<Duration>,
    /// How long it may take to resolve a name, to connect, and to agree on TLS [default: 10s]
    #[arg(
        long,
        global = true,
        value_name = "DURATION",
        value_parser = parse_duration,
        hide_short_help = true
    )]
    pub(crate) connect_timeout: Option<Duration>,
    /// How often a request is tried that fails for a passing reason, 1 to 100 [default: 8]
    #[arg(
        long,
        global = true,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=100),
        hide_short_help = true
    )]
    pub(crate) max_attempts: Option<u32>,
}

/// What only writing to S3 needs.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = "S3")]
pub(crate) struct S3WriteArgs {
    /// Send no more bytes a second, of all objects together
    #[arg(long, value_name = "SIZE", value_parser = parse_rate)]
    pub(crate) limit_rate: Option<u64>,
    /// What is done about --if-none-match and --if-match on services not known to keep them
    #[arg(
        long,
        value_name = "HOW",
        default_value = "known",
        hide_short_help = true
    )]
    pub(crate) conditions: Conditions,
    /// Sign the bytes of requests: always, never, or where nothing else protects them
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        hide_short_help = true
    )]
    pub(crate) payload_signing: PayloadSigning,
}

/// What is done about conditions on a service that is not known to keep them.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Conditions {
    /// Such a write is refused
    Known,
    /// The service is trusted
    Trust,
    /// The object is looked at right before; others may come in between
    CheckFirst,
}

/// When the bytes of a request are signed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum PayloadSigning {
    Auto,
    Always,
    Never,
}

/// Bytes a second; `8M/s` is the same as `8M`.
fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_size(text.strip_suffix("/s").unwrap_or(text))? {
        0 => Err("nothing would ever be sent".to_owned()),
        rate => Ok(rate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_size() {
        assert_eq!(parse_rate("8M"), Ok(8 << 20));
        assert_eq!(parse_rate("8MiB/s"), Ok(8 << 20));
        for text in ["0", "", "/s", "8M/m"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
