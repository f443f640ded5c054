//! The URL of a table.

use std::fmt;
use std::time::Duration;

use kipfix_export::url::parse_host_port;
use kipfix_service::settings::{Size, Span, Within, within};

use crate::emit::OverflowPolicy;
use crate::emit::authority::Authority;
use crate::emit::delivery::{Compression, DeliverySettings, Parameters};
use crate::emit::enriched::RecordFormat;

/// Default port of the HTTP interface.
pub(crate) const DEFAULT_PORT: u16 = 8123;
/// Default port of the HTTP interface with TLS.
pub(crate) const DEFAULT_TLS_PORT: u16 = 8443;
/// Sizes of a batch.
const BATCH_SIZES: Within<Size> = within(Size::kib(64), Size::mib(256));
/// Times to collect rows for a request.
const INTERVALS: Within<Span> = within(Span::ZERO, Span::from_secs(600));

/// A table, and how records are inserted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouseTarget {
    /// Host of the server.
    pub host: String,
    /// Port of its HTTP interface.
    pub port: u16,
    /// Name of the database.
    pub database: String,
    /// Name of the table.
    pub table: String,
    /// Maximum size of the rows of a request, before compression.
    pub batch: Size,
    /// Time to collect rows for a request.
    pub interval: Duration,
    pub(super) compression: Compression,
    pub(in crate::emit) parameters: Parameters,
}

/// What is allowed, for errors.
pub(in crate::emit) const SYNTAX: &str = "clickhouse://HOST[:PORT]/DATABASE/TABLE[?interval=DURATION&batch=SIZE&\
    compression=lz4|gzip|none&queue=SIZE&tls=true&ca=FILE&cert=FILE&key=FILE&user=NAME&password-file=FILE]";

impl ClickHouseTarget {
    /// Parses what follows `clickhouse://`.
    pub(in crate::emit) fn parse(text: &str) -> Result<Self, String> {
        let (place, query) = text.split_once('?').unwrap_or((text, ""));
        let (authority, path) = place.split_once('/').ok_or("the database is missing")?;
        let (database, table) = path.split_once('/').ok_or("the table is missing")?;
        let (database, table) = (
            parse_name("database", database)?,
            parse_name("table", table)?,
        );
        let mut batch = Size::mib(16);
        let mut interval = Span::from_secs(5);
        let mut compression = Compression::Lz4;
        let parameters = Parameters::parse(query, "ClickHouse", |parameter| {
            match parameter.name() {
                "compression" => compression = Compression::parse(parameter)?,
                "interval" => interval = parameter.within(&INTERVALS)?,
                "batch" => batch = parameter.within(&BATCH_SIZES)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let default_port = if parameters.transport.tls {
            DEFAULT_TLS_PORT
        } else {
            DEFAULT_PORT
        };
        let (host, port) = parse_host_port(authority, Some(default_port))?;
        Ok(Self {
            host,
            port,
            database,
            table,
            batch,
            interval: interval.duration(),
            compression,
            parameters,
        })
    }

    /// How records are delivered to it.
    pub(in crate::emit) fn delivery(&self, policy: OverflowPolicy) -> DeliverySettings {
        let octets = |size: Size| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
        DeliverySettings {
            target: self.to_string(),
            format: RecordFormat::RowBinary,
            queue_octets: octets(self.parameters.queue),
            batch_octets: octets(self.batch),
            interval: self.interval,
            policy,
        }
    }
}

/// Parses a name that needs no quotes in SQL. `kind` is what it names, for errors.
pub(crate) fn parse_name(kind: &str, name: &str) -> Result<String, String> {
    let mut characters = name.chars();
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_name = characters.next().is_some_and(is_first)
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(format!(
            "invalid {kind} {name:?}: must be letters, digits and '_', not a digit first"
        ));
    }
    Ok(name.to_owned())
}

impl fmt::Display for ClickHouseTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            port,
            database,
            table,
            ..
        } = self;
        let server = Authority(host, *port);
        write!(f, "clickhouse://{server}/{database}/{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_server_a_table_and_parameters() {
        let target = ClickHouseTarget::parse(
            "ch.db/kipfix/flows?interval=1s&batch=1MiB&compression=gzip&tls=true&user=u&password-file=/p",
        )
        .unwrap();
        assert_eq!((target.host.as_str(), target.port), ("ch.db", 8443));
        assert_eq!(target.database, "kipfix");
        assert_eq!(target.table, "flows");
        assert_eq!(target.interval, Duration::from_secs(1));
        assert_eq!(target.batch.bytes(), 1 << 20);
        assert_eq!(target.compression, Compression::Gzip);
        let plain = ClickHouseTarget::parse("[::1]/d/t").unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("::1", 8123));
        assert_eq!(plain.to_string(), "clickhouse://[::1]:8123/d/t");
    }

    #[test]
    fn an_invalid_url_is_refused_with_what_is_allowed() {
        for (text, message) in [
            ("host", "the database is missing"),
            ("host/d", "the table is missing"),
            ("host/d/", "invalid table"),
            ("host/d/t;drop", "invalid table"),
            ("host/1/t", "invalid database"),
            ("host:x/d/t", "1–65535"),
            ("/d/t", "invalid host"),
            ("h/d/t?batch=1", "64KiB–256MiB"),
            ("h/d/t?interval=1h", "0s–10m"),
            ("h/d/t?compression=zstd", "lz4, gzip or none"),
            ("h/d/t?password-file=/x", "user and password-file"),
            ("h/d/t?format=json", "unknown parameter \"format\""),
        ] {
            let error = ClickHouseTarget::parse(text).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
