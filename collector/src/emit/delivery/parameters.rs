//! The parts of the URL of an engine.

use std::path::PathBuf;
use std::time::Duration;

use kipfix_export::counters::ConnectionFailure;
use kipfix_export::target::Credentials;
use kipfix_service::settings::{Size, Span};

use super::{ConnectError, TransportSettings};

/// Default size of a queue.
const DEFAULT_QUEUE: Size = Size::from_bytes(32 << 20);
/// Sizes of a queue.
const QUEUE_SIZES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 36;

/// The parameters that all engines have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emit) struct Parameters {
    /// Maximum size of the queue.
    pub(in crate::emit) queue: Size,
    /// The name and the file of the password.
    pub(in crate::emit) user: Option<String>,
    pub(in crate::emit) password_file: Option<PathBuf>,
    pub(in crate::emit) transport: TransportSettings,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            queue: DEFAULT_QUEUE,
            user: None,
            password_file: None,
            transport: TransportSettings::default(),
        }
    }
}

impl Parameters {
    /// Takes a parameter. Returns false if its name is unknown.
    pub(in crate::emit) fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "queue" => {
                let size = value.parse::<Size>().ok();
                let size = size.filter(|size| QUEUE_SIZES.contains(&size.bytes()));
                self.queue =
                    size.ok_or_else(|| format!("invalid queue {value:?}: must be 1MiB–64GiB"))?;
            }
            "user" if value.is_empty() || value.contains(char::is_control) => {
                return Err(format!(
                    "invalid user {value:?}: must not be empty or have control characters"
                ));
            }
            "user" => self.user = Some(value.to_owned()),
            "password-file" => self.password_file = Some(parse_path(name, value)?),
            "tls" => self.transport.tls = parse_flag(name, value)?,
            "ca" => self.transport.credentials.ca = Some(parse_path(name, value)?),
            "cert" => self.transport.credentials.cert = Some(parse_path(name, value)?),
            "key" => self.transport.credentials.key = Some(parse_path(name, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Reads the password, without the end of its line. It is empty without a file.
    pub(in crate::emit) fn read_password(&self) -> Result<String, ConnectError> {
        let Some(file) = &self.password_file else {
            return Ok(String::new());
        };
        let mut password = std::fs::read_to_string(file).map_err(|error| {
            let message = format!("cannot read password-file {}: {error}", file.display());
            ConnectError::new(ConnectionFailure::BadCredentials, message)
        })?;
        password.truncate(password.trim_end_matches(['\r', '\n']).len());
        Ok(password)
    }

    /// Checks the rules between parameters.
    pub(in crate::emit) fn check(&self) -> Result<(), String> {
        if self.user.is_some() != self.password_file.is_some() {
            return Err("user and password-file: both or none must be set".into());
        }
        let Credentials { ca, cert, key } = &self.transport.credentials;
        if cert.is_some() != key.is_some() {
            return Err("cert and key: both or none must be set".into());
        }
        if !self.transport.tls && (ca.is_some() || cert.is_some()) {
            return Err("ca, cert and key: only allowed with tls=true".into());
        }
        Ok(())
    }
}

/// Parses true or false.
pub(in crate::emit) fn parse_flag(name: &str, value: &str) -> Result<bool, String> {
    let flag = value.parse();
    flag.map_err(|_| format!("invalid {name} {value:?}: must be true or false"))
}

/// Parses the path of a file.
pub(in crate::emit) fn parse_path(name: &str, value: &str) -> Result<PathBuf, String> {
    if value.is_empty() {
        return Err(format!("invalid {name} \"\": must be the path of a file"));
    }
    Ok(PathBuf::from(value))
}

/// Parses a time span within a range.
pub(in crate::emit) fn parse_span(
    name: &str,
    value: &str,
    range: std::ops::RangeInclusive<Span>,
) -> Result<Duration, String> {
    let span = value.parse::<Span>().ok();
    let span = span.filter(|span| range.contains(span)).ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        format!("invalid {name} {value:?}: must be {least}–{most}")
    })?;
    Ok(span.duration())
}

/// Parses `HOST[:PORT]`. The host is a name, an IPv4 address, or an IPv6 address in brackets.
pub(in crate::emit) fn parse_host_port(text: &str, port: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) if !digits.ends_with(']') => {
            let port = digits.parse().ok().filter(|port| *port != 0);
            let port = port.ok_or_else(|| format!("invalid port {digits:?}: must be 1–65535"))?;
            (host, port)
        }
        _ => (text, port),
    };
    let in_brackets = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let is_name = |host: &str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        !host.is_empty() && host.chars().all(is_allowed)
    };
    match in_brackets {
        Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => Ok((inner.to_owned(), port)),
        None if is_name(host) => Ok((host.to_owned(), port)),
        _ => Err(format!(
            "invalid host {host:?}: must be a name, an IPv4 address, or an IPv6 address in brackets"
        )),
    }
}
