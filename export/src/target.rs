//! Export URLs.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use flowproto::exporter::{Profile, Version};
use kipfix_service::settings::{BadSettings, Size, Span, Within, within};

use crate::rotation::Rotation;
use crate::tls::Credentials;
use crate::url::{self, Parameter, parse_host_port, redacted};

/// Range of the maximum Message length: 512 octets are safe on any path (RFC 7011 §10.3.3), and
/// 65,507 are the largest UDP payload.
const MESSAGE_OCTETS: Within<usize> = within(512, 65_507);
const DEFAULT_MESSAGE_OCTETS: usize = 1400;
/// Size of a file at which the next one starts.
const FILE_SIZES: Within<Size> = within(Size::kib(64), Size::gib(1024));
/// Time after which the next file starts.
const FILE_TIMES: Within<Span> = within(Span::SECOND, Span::YEAR);
/// Number of complete files that are kept.
const KEPT_FILES: Within<NonZeroUsize> =
    within(NonZeroUsize::MIN, NonZeroUsize::MIN.saturating_add(999_999));

/// A destination of records, parsed from a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: String,
    /// The parsed URL.
    pub kind: TargetKind,
    /// The elements of IPFIX. Default: all.
    pub profile: Profile,
}

/// The kinds of target, with their parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Messages to a host.
    Remote(Remote, Transport),
    /// IPFIX files (RFC 5655).
    File {
        /// Name of the complete file, or the start of the names if files rotate.
        path: PathBuf,
        /// When the next file starts.
        rotation: Rotation,
    },
    /// JSON lines on stdout.
    Stdout,
}

/// How Messages are sent to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp {
        /// IPFIX, NetFlow v9 or v5. Default: IPFIX.
        version: Version,
        /// Maximum length of a Message, octets, 512–65,507. Default: 1400.
        max_message_octets: usize,
    },
    /// IPFIX over TCP.
    Tcp,
    /// IPFIX over TLS, with files of certificates and keys.
    Tls(Credentials),
}

/// A remote host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Address or name.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Maximum rate, records per second; 0 is unlimited. Default: that of the caller.
    pub records_per_second: Option<u32>,
    /// Distribute flows over all addresses of the name instead of using one. Default: false.
    pub spread: bool,
}

impl Target {
    /// Parses a URL.
    ///
    /// # Errors
    /// The problem, and what a URL of this scheme looks like.
    pub fn parse(text: &str) -> Result<Self, (String, &'static str)> {
        let (kind, profile) = parsed(text).map_err(|problem| (problem, form(text)))?;
        Ok(Self {
            text: text.to_owned(),
            kind,
            profile,
        })
    }

    /// The remote host, if the target has one.
    #[must_use]
    pub const fn remote(&self) -> Option<&Remote> {
        match &self.kind {
            TargetKind::Remote(remote, _) => Some(remote),
            TargetKind::File { .. } | TargetKind::Stdout => None,
        }
    }

    /// The version of the protocol.
    #[must_use]
    pub const fn version(&self) -> Version {
        match &self.kind {
            TargetKind::Remote(_, Transport::Udp { version, .. }) => *version,
            _ => Version::Ipfix,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

kipfix_service::text_setting!(Target);

impl FromStr for Target {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        Self::parse(text).map_err(|(problem, form)| {
            let text = redacted(text);
            BadSettings::new(format!(
                "invalid export target {text:?}: {problem}; must be {form}"
            ))
        })
    }
}

/// What a URL of the scheme of `text` looks like.
fn form(text: &str) -> &'static str {
    match text.split(':').next() {
        Some("udp") => {
            "udp://HOST:PORT[?version=ipfix|9|5&mtu=OCTETS&rate=RECORDS_PER_SECOND&spread=true&\
             profile=all|registered]"
        }
        Some("tcp") => {
            "tcp://HOST:PORT[?rate=RECORDS_PER_SECOND&spread=true&profile=all|registered]"
        }
        Some("tls") => {
            "tls://HOST:PORT[?ca=FILE&cert=FILE&key=FILE&rate=RECORDS_PER_SECOND&spread=true&\
             profile=all|registered]"
        }
        Some("file") => {
            "file:PATH[?rotate-size=SIZE&rotate-every=DURATION&keep=N&profile=all|registered]"
        }
        _ => "udp://HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT, file:PATH or stdout:",
    }
}

fn parsed(text: &str) -> Result<(TargetKind, Profile), String> {
    if text == "stdout:" {
        return Ok((TargetKind::Stdout, Profile::All));
    }
    let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let allowed: &[&str] = match scheme {
        "udp" => &["version", "profile", "mtu", "rate", "spread"],
        "tcp" => &["version", "profile", "rate", "spread"],
        "tls" => &["version", "profile", "rate", "spread", "ca", "cert", "key"],
        "file" => &["version", "profile", "rotate-size", "rotate-every", "keep"],
        "sctp" => return Err("SCTP is not supported and not planned; use tcp".to_owned()),
        "dtls" => return Err("DTLS is not supported and not planned; use tls".to_owned()),
        _ => return Err("unknown scheme".to_owned()),
    };
    let parameters = Parameters::of(query, allowed, scheme)?;
    if scheme != "udp" && parameters.version != Version::Ipfix {
        return Err(format!("invalid version for {scheme}: must be ipfix"));
    }
    let profile = parameters.profile;
    if profile == Profile::Registered && parameters.version != Version::Ipfix {
        return Err(
            "profile requires version ipfix: NetFlow has only registered elements".to_owned(),
        );
    }
    place_of(scheme, place, parameters).map(|kind| (kind, profile))
}

fn place_of(scheme: &str, place: &str, parameters: Parameters) -> Result<TargetKind, String> {
    if scheme == "file" {
        let (path, rotation) = file_of(place, parameters.rotation)?;
        return Ok(TargetKind::File { path, rotation });
    }
    let authority = place
        .strip_prefix("//")
        .ok_or_else(|| format!("missing // after {scheme}:"))?;
    let (host, port) = parse_host_port(authority, None)?;
    let remote = Remote {
        host,
        port,
        records_per_second: parameters.records_per_second,
        spread: parameters.spread,
    };
    let transport = match scheme {
        "udp" => Transport::Udp {
            version: parameters.version,
            max_message_octets: parameters
                .max_message_octets
                .unwrap_or(DEFAULT_MESSAGE_OCTETS),
        },
        "tcp" => Transport::Tcp,
        _ => {
            parameters.credentials.check(None)?;
            Transport::Tls(parameters.credentials)
        }
    };
    Ok(TargetKind::Remote(remote, transport))
}

/// Parses a file without its scheme: `PATH[?rotate-size=SIZE&rotate-every=DURATION&keep=N]`.
///
/// # Errors
/// What is wrong, and what is allowed.
pub fn parse_file(text: &str) -> Result<(PathBuf, Rotation), String> {
    let (place, query) = text.split_once('?').unwrap_or((text, ""));
    let allowed = ["rotate-size", "rotate-every", "keep"];
    let parameters = Parameters::of(query, &allowed, "file")?;
    file_of(place, parameters.rotation)
}

fn file_of(place: &str, rotation: Rotation) -> Result<(PathBuf, Rotation), String> {
    if rotation.keep.is_some() && !rotation.rotates() {
        return Err("keep requires rotate-size or rotate-every".to_owned());
    }
    let path = url::path(place);
    if path.file_name().is_none() {
        return Err("missing path of the file".to_owned());
    }
    Ok((path, rotation))
}

/// The parameters of a URL.
#[derive(Default)]
struct Parameters {
    version: Version,
    profile: Profile,
    max_message_octets: Option<usize>,
    records_per_second: Option<u32>,
    spread: bool,
    credentials: Credentials,
    rotation: Rotation,
}

impl Parameters {
    /// The parameters of a query. Those of `scheme` are `allowed`.
    fn of(query: &str, allowed: &[&str], scheme: &str) -> Result<Self, String> {
        let mut parameters = Self::default();
        for parameter in Parameter::each_once(query)? {
            let name = parameter.name();
            if !allowed.contains(&name) || !parameters.take(&parameter)? {
                return Err(format!("unknown parameter {name:?} of {scheme}"));
            }
        }
        Ok(parameters)
    }

    /// Takes a parameter. Returns false for an unknown one.
    fn take(&mut self, parameter: &Parameter<'_>) -> Result<bool, String> {
        match parameter.name() {
            "version" => {
                self.version = match &*parameter.text() {
                    "ipfix" | "10" => Version::Ipfix,
                    "9" => Version::Netflow9,
                    "5" => Version::Netflow5,
                    _ => return Err(parameter.invalid("ipfix, 9 or 5")),
                };
            }
            "profile" => {
                self.profile = match &*parameter.text() {
                    "all" => Profile::All,
                    "registered" => Profile::Registered,
                    _ => return Err(parameter.invalid("all or registered")),
                };
            }
            "mtu" => self.max_message_octets = Some(parameter.within(&MESSAGE_OCTETS)?),
            "rate" => self.records_per_second = Some(parameter.within(&within(0, u32::MAX))?),
            "spread" => self.spread = parameter.flag()?,
            "rotate-size" => self.rotation.size = Some(parameter.within(&FILE_SIZES)?.bytes()),
            "rotate-every" => self.rotation.every = Some(parameter.within(&FILE_TIMES)?),
            "keep" => self.rotation.keep = Some(parameter.within(&KEPT_FILES)?),
            _ => return self.credentials.take(parameter),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
