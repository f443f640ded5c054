//! A listen address as a setting.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::BadSettings;

/// An IP address of this host and a port, such as `127.0.0.1:9473`. `[::]:8080` listens on all
/// addresses, including IPv4. The brackets of an IPv6 address are optional, because Kubernetes
/// reports node addresses without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress(pub SocketAddr);

impl FromStr for ListenAddress {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let bare = || {
            let (address, port) = text.rsplit_once(':')?;
            let address: Ipv6Addr = address.parse().ok()?;
            Some(SocketAddr::from((address, port.parse().ok()?)))
        };
        let address = text.parse().ok().or_else(bare);
        address.map(Self).ok_or_else(|| {
            BadSettings::new(format!(
                "invalid listen address {text:?}: must be ADDRESS:PORT, such as 127.0.0.1:8080, or \
                 [::]:8080 for all addresses"
            ))
        })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

crate::text_setting!(ListenAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_and_a_name_are_refused() {
        for good in ["127.0.0.1:9473", "[::]:8080", "[::1]:0"] {
            assert_eq!(good.parse::<ListenAddress>().unwrap().to_string(), good);
        }
        let bare: ListenAddress = "fd00:30::11:9473".parse().unwrap();
        assert_eq!(bare.to_string(), "[fd00:30::11]:9473");
        for bad in [
            "",
            "8080",
            ":8080",
            "localhost:80",
            "::",
            "[::]",
            "1.2.3.4",
            "1.2.3.4:65536",
        ] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad:?}");
        }
    }
}
