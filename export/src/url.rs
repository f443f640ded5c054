//! The parts of URLs of targets and of engines: hosts and parameters. Values are percent-encoded.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::Ipv6Addr;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use std::str::FromStr;

use kipfix_service::secret;
use kipfix_service::settings::Within;
use percent_encoding::percent_decode_str;

use crate::tls::Credentials;

/// A parameter of a query, `NAME=VALUE`.
#[derive(Clone, Debug)]
pub struct Parameter<'a> {
    name: &'a str,
    /// The value without percent-encoding. It need not be UTF-8.
    octets: Cow<'a, [u8]>,
}

impl<'a> Parameter<'a> {
    /// Returns the parameters of a query.
    pub fn all(query: &'a str) -> impl Iterator<Item = Self> {
        let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
        parameters.map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            Self {
                name,
                octets: percent_decode_str(value).into(),
            }
        })
    }

    /// Returns the parameters of a query that has each of them once.
    ///
    /// # Errors
    /// A name is repeated.
    pub fn each_once(query: &'a str) -> Result<Vec<Self>, String> {
        let mut parameters: Vec<Self> = Vec::new();
        for parameter in Self::all(query) {
            let name = parameter.name;
            if parameters.iter().any(|earlier| earlier.name == name) {
                return Err(format!("parameter {name:?} more than once"));
            }
            parameters.push(parameter);
        }
        Ok(parameters)
    }

    /// Returns the name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Returns the value as text.
    #[must_use]
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.octets)
    }

    /// Returns the error for a value that is not allowed.
    #[must_use]
    pub fn invalid(&self, allowed: impl Display) -> String {
        format!("invalid {} {:?}: must be {allowed}", self.name, self.text())
    }

    /// Returns the value as the path of a file.
    ///
    /// # Errors
    /// The value is empty.
    pub fn file(&self) -> Result<PathBuf, String> {
        if self.octets.is_empty() {
            return Err(self.invalid("the path of a file"));
        }
        Ok(path_of(self.octets.clone()))
    }

    /// Returns a value in a range.
    ///
    /// # Errors
    /// The value has another form, or is not in the range.
    pub fn within<T>(&self, range: &Within<T>) -> Result<T, String>
    where
        T: Copy + Display + FromStr + PartialOrd,
    {
        let text = self.text();
        let value = range.parse(&text);
        value.map_err(|allowed| format!("invalid {} {text:?}: {allowed}", self.name))
    }

    /// Returns true or false.
    ///
    /// # Errors
    /// The value is neither.
    pub fn flag(&self) -> Result<bool, String> {
        let flag = self.text().parse();
        flag.map_err(|_| self.invalid("true or false"))
    }
}

/// Returns the path in a URL.
pub(crate) fn path(text: &str) -> PathBuf {
    path_of(percent_decode_str(text).into())
}

fn path_of(octets: Cow<'_, [u8]>) -> PathBuf {
    OsString::from_vec(octets.into_owned()).into()
}

impl Credentials {
    /// Takes a parameter: `ca`, `cert` or `key`. Returns false for another one.
    ///
    /// # Errors
    /// The value is not a path.
    pub fn take(&mut self, parameter: &Parameter<'_>) -> Result<bool, String> {
        let file = match parameter.name {
            "ca" => &mut self.ca,
            "cert" => &mut self.cert,
            "key" => &mut self.key,
            _ => return Ok(false),
        };
        *file = Some(parameter.file()?);
        Ok(true)
    }

    /// Checks the rules between the files. `without_tls` is what TLS requires, if there is none.
    ///
    /// # Errors
    /// Only one of `cert` and `key` is set, or a file is set without TLS.
    pub fn check(&self, without_tls: Option<&str>) -> Result<(), String> {
        if self.cert.is_some() != self.key.is_some() {
            return Err("cert and key: both or none must be set".to_owned());
        }
        match without_tls {
            Some(needed) if self.ca.is_some() || self.cert.is_some() => {
                Err(format!("ca, cert and key: only allowed with {needed}"))
            }
            _ => Ok(()),
        }
    }
}

/// A user, and the file whose first line is the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Name of the user.
    pub user: String,
    /// File of the password.
    pub password_file: PathBuf,
}

impl Login {
    /// Reads the password.
    ///
    /// # Errors
    /// The file cannot be read, or has no valid password.
    pub fn read_password(&self) -> Result<String, String> {
        let file = &self.password_file;
        secret::read_password(file)
            .map_err(|error| format!("cannot read password-file {}: {error}", file.display()))
    }
}

/// The parameters of a [`Login`]: `user` and `password-file`.
#[derive(Clone, Debug, Default)]
pub struct LoginParameters {
    user: Option<String>,
    password_file: Option<PathBuf>,
}

impl LoginParameters {
    /// Takes a parameter. Returns false for another one.
    ///
    /// # Errors
    /// The value is invalid.
    pub fn take(&mut self, parameter: &Parameter<'_>) -> Result<bool, String> {
        match parameter.name {
            "user" => {
                let user = parameter.text();
                if user.is_empty() || user.contains(char::is_control) {
                    return Err(parameter.invalid("a name without control characters"));
                }
                self.user = Some(user.into_owned());
            }
            "password-file" => self.password_file = Some(parameter.file()?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns the login; `None` without parameters.
    ///
    /// # Errors
    /// Only one of the parameters is set.
    pub fn login(self) -> Result<Option<Login>, String> {
        match (self.user, self.password_file) {
            (Some(user), Some(password_file)) => Ok(Some(Login {
                user,
                password_file,
            })),
            (None, None) => Ok(None),
            _ => Err("user and password-file: both or none must be set".to_owned()),
        }
    }
}

/// Returns a URL for messages about it, without a password that does not belong in it: in front of
/// the host, or in a parameter `password`.
#[must_use]
pub fn redacted(url: &str) -> String {
    const HIDDEN: &str = "***";
    let place_end = url.find('?').unwrap_or(url.len());
    let (place, query) = url.split_at(place_end);
    let mut text = match place.split_once("//") {
        Some((scheme, rest)) if let Some((_, host)) = rest.rsplit_once('@') => {
            format!("{scheme}//{HIDDEN}@{host}")
        }
        _ => place.to_owned(),
    };
    for parameter in query.split_inclusive(['?', '&']) {
        match parameter.strip_prefix("password=") {
            Some(value) => {
                text.push_str("password=");
                text.push_str(HIDDEN);
                text.push_str(if value.ends_with('&') { "&" } else { "" });
            }
            None => text.push_str(parameter),
        }
    }
    text
}

/// Parses `HOST[:PORT]`. The host is a name, an IPv4 address, or an IPv6 address in brackets.
///
/// # Errors
/// The host or the port is invalid, or there is no port and no default port.
pub fn parse_host_port(text: &str, default_port: Option<u16>) -> Result<(String, u16), String> {
    if text.contains('@') {
        return Err("must not have a user or a password in front of the host".to_owned());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) if !digits.ends_with(']') => {
            let port = digits.parse().ok().filter(|port| *port != 0);
            let port = port.ok_or_else(|| format!("invalid port {digits:?}: must be 1–65535"))?;
            (host, Some(port))
        }
        _ => (text, default_port),
    };
    let host = parse_host(host)?;
    let port = port.ok_or("missing port (registered: 4739, and 4740 for tls)")?;
    Ok((host, port))
}

fn parse_host(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match inner {
        Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => Ok(inner.to_owned()),
        None if !text.is_empty() && text.chars().all(is_name) => Ok(text.to_owned()),
        _ => Err(format!(
            "invalid host {text:?}: must be a name, an IPv4 address, or an IPv6 address in brackets"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(text: &str) -> Parameter<'_> {
        Parameter::all(text).next().unwrap()
    }

    #[test]
    fn a_parameter_is_percent_decoded() {
        let all: Vec<String> = Parameter::all("user=a%26b&&key=%2Fk+1%25&tls")
            .map(|parameter| format!("{} {}", parameter.name(), parameter.text()))
            .collect();
        assert_eq!(all, ["user a&b", "key /k+1%", "tls "]);
    }

    #[test]
    fn a_repeated_parameter_is_refused() {
        assert_eq!(Parameter::each_once("a=1&b=1&").unwrap().len(), 2);
        let error = Parameter::each_once("a=1&b=1&a=2").unwrap_err();
        assert_eq!(error, "parameter \"a\" more than once");
    }

    #[test]
    fn an_invalid_value_is_refused_with_what_is_allowed() {
        let port = kipfix_service::settings::within(1u16, 65_535);
        let message = "invalid port \"80x\": must be 1–65535";
        assert_eq!(parameter("port=80x").within(&port).unwrap_err(), message);
        let message = "invalid tls \"yes\": must be true or false";
        assert_eq!(parameter("tls=yes").flag().unwrap_err(), message);
        let message = "invalid ca \"\": must be the path of a file";
        assert_eq!(parameter("ca=").file().unwrap_err(), message);
    }

    #[test]
    fn a_certificate_needs_its_key_and_tls() {
        let check = |query: &str, without_tls| {
            let mut credentials = Credentials::default();
            for parameter in Parameter::all(query) {
                assert!(credentials.take(&parameter).unwrap());
            }
            credentials.check(without_tls)
        };
        assert_eq!(check("ca=/a&cert=/c&key=/k", None), Ok(()));
        assert_eq!(check("", Some("tls=true")), Ok(()));
        assert!(check("cert=/c", None).unwrap_err().contains("both or none"));
        let without = check("ca=/a", Some("tls=true")).unwrap_err();
        assert_eq!(without, "ca, cert and key: only allowed with tls=true");
    }

    #[test]
    fn a_message_about_a_url_has_no_password() {
        for (url, expected) in [
            ("udp://h:4739?mtu=1400", "udp://h:4739?mtu=1400"),
            (
                "kafka://u:p/w@h,u:p@i/t?tls=true",
                "kafka://***@i/t?tls=true",
            ),
            (
                "clickhouse://h/d/t?user=u&password=p%26w&password-file=/p",
                "clickhouse://h/d/t?user=u&password=***&password-file=/p",
            ),
            ("prometheus=http://u:p@h", "prometheus=http://***@h"),
            ("stdout:", "stdout:"),
        ] {
            assert_eq!(redacted(url), expected);
        }
        let error = parse_host_port("u:p@h", Some(9092)).unwrap_err();
        assert!(error.contains("must not have a user"), "{error}");
    }

    #[test]
    fn a_user_needs_a_password() {
        let login = |query: &str| {
            let mut login = LoginParameters::default();
            for parameter in Parameter::all(query) {
                assert!(login.take(&parameter)?, "{query}");
            }
            login.login()
        };
        assert_eq!(login(""), Ok(None));
        let expected = Login {
            user: "a b".into(),
            password_file: "/p".into(),
        };
        assert_eq!(login("user=a%20b&password-file=/p"), Ok(Some(expected)));
        for (query, reason) in [
            ("user=u", "both or none"),
            ("password-file=/p", "both or none"),
            ("user=", "invalid user \"\""),
            ("user=a%0Ab", "control characters"),
        ] {
            assert!(login(query).unwrap_err().contains(reason), "{query}");
        }
    }

    #[test]
    fn a_host_has_a_port_or_the_default_one() {
        let parsed = |text, port| parse_host_port(text, port);
        assert_eq!(parsed("c:1", None), Ok(("c".into(), 1)));
        assert_eq!(parsed("c", Some(9092)), Ok(("c".into(), 9092)));
        assert_eq!(parsed("[::1]", Some(7)), Ok(("::1".into(), 7)));
        assert_eq!(parsed("[::1]:8", Some(7)), Ok(("::1".into(), 8)));
        for (text, reason) in [
            ("c", "missing port"),
            ("c:0", "1–65535"),
            (":1", "invalid host"),
            ("::1:8", "in brackets"),
            ("a/b:1", "invalid host"),
        ] {
            assert!(parsed(text, None).unwrap_err().contains(reason), "{text}");
        }
    }
}
