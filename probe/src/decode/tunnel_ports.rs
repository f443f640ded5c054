//! UDP ports of tunnel protocols.

use std::fmt;
use std::str::FromStr;

use kipfix_service::settings::BadSettings;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// A protocol over UDP that carries packets, in clear text or encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum TunnelProtocol {
    /// VXLAN, RFC 7348.
    Vxlan,
    /// VXLAN with the protocol of the payload in its header (draft-ietf-nvo3-vxlan-gpe).
    VxlanGpe,
    /// Geneve, RFC 8926.
    Geneve,
    /// GTP-U version 1, 3GPP TS 29.281.
    GtpU,
    /// Teredo, RFC 4380.
    Teredo,
    /// L2TP version 2 (RFC 2661) and 3 (RFC 3931).
    L2tp,
    /// GRE in UDP, RFC 8086.
    Gre,
    /// MPLS in UDP, RFC 7510.
    Mpls,
    /// Generic UDP Encapsulation, versions 0 and 1 (draft-ietf-intarea-gue).
    Gue,
    /// Foo over UDP of Linux: IP or GRE directly in UDP.
    Fou,
    /// WireGuard. Its payload is encrypted.
    #[strum(serialize = "wireguard")]
    WireGuard,
    /// ESP in UDP, RFC 3948. Its payload is encrypted.
    Esp,
}

impl TunnelProtocol {
    /// True if the payload is encrypted.
    const fn is_encrypted(self) -> bool {
        matches!(self, Self::WireGuard | Self::Esp)
    }
}

/// Registered ports, and those that are common without a registration: 8472, the default of Linux
/// and Flannel for VXLAN; 51820 and 51821 (WireGuard and Calico), 51871 (Cilium). Foo over UDP has
/// none. GTP-U has a registered one, but it carries packets of mobile devices: what pods exchange
/// are its outer packets, often in fragments.
const DEFAULT_PORTS: [(u16, TunnelProtocol); 13] = [
    (4789, TunnelProtocol::Vxlan),
    (8472, TunnelProtocol::Vxlan),
    (4790, TunnelProtocol::VxlanGpe),
    (6081, TunnelProtocol::Geneve),
    (3544, TunnelProtocol::Teredo),
    (1701, TunnelProtocol::L2tp),
    (4754, TunnelProtocol::Gre),
    (6635, TunnelProtocol::Mpls),
    (6080, TunnelProtocol::Gue),
    (51_820, TunnelProtocol::WireGuard),
    (51_821, TunnelProtocol::WireGuard),
    (51_871, TunnelProtocol::WireGuard),
    (4500, TunnelProtocol::Esp),
];

/// Setting of a tunnel port: `PROTOCOL=PORT`, or `PROTOCOL=none` to drop the default ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelPort {
    protocol: TunnelProtocol,
    /// `None` drops the default ports of the protocol.
    port: Option<u16>,
}

impl FromStr for TunnelPort {
    type Err = BadSettings;

    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let invalid = || {
            let all = TunnelProtocol::VARIANTS.iter();
            let names: Vec<&str> = all.map(Into::into).collect();
            BadSettings::new(format!(
                "invalid tunnel_port {text:?}: must be PROTOCOL=PORT or PROTOCOL=none, with \
                 PROTOCOL {} and PORT 1–65535",
                names.join(", ")
            ))
        };
        let (name, port) = text.split_once('=').ok_or_else(invalid)?;
        let port = match port {
            "none" => None,
            port => Some(
                port.parse()
                    .ok()
                    .filter(|port| *port != 0)
                    .ok_or_else(invalid)?,
            ),
        };
        Ok(Self {
            protocol: name.parse().map_err(|_| invalid())?,
            port,
        })
    }
}

impl fmt::Display for TunnelPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol;
        match self.port {
            Some(port) => write!(f, "{protocol}={port}"),
            None => write!(f, "{protocol}=none"),
        }
    }
}

kipfix_service::text_setting!(TunnelPort);

/// The ports of all tunnel protocols.
#[derive(Clone, Debug)]
pub struct TunnelPorts {
    ports: Vec<(u16, TunnelProtocol)>,
    /// The low octets of the ports of tunnels in clear text, and of encrypted ones. Most packets
    /// need no more than a look at these.
    clear: OctetSet,
    encrypted: OctetSet,
}

/// A set of octets.
#[derive(Clone, Copy, Debug, Default)]
struct OctetSet([u64; 4]);

impl OctetSet {
    #[inline]
    fn has_low_octet_of(&self, port: u16) -> bool {
        let word = self.0.get(usize::from(port >> 6 & 3)).copied();
        word.unwrap_or_default() >> (port & 63) & 1 == 1
    }

    fn add_low_octet_of(&mut self, port: u16) {
        if let Some(word) = self.0.get_mut(usize::from(port >> 6 & 3)) {
            *word |= 1 << (port & 63);
        }
    }
}

impl TunnelPorts {
    /// Maximum number of ports.
    pub const MAX: usize = 64;

    fn of(ports: Vec<(u16, TunnelProtocol)>) -> Self {
        let (mut clear, mut encrypted) = (OctetSet::default(), OctetSet::default());
        for (port, protocol) in &ports {
            let set = if protocol.is_encrypted() {
                &mut encrypted
            } else {
                &mut clear
            };
            set.add_low_octet_of(*port);
        }
        Self {
            ports,
            clear,
            encrypted,
        }
    }

    /// Adds ports to the default ones.
    ///
    /// # Errors
    /// There are too many, or a port is that of two protocols.
    pub fn new(settings: &[TunnelPort]) -> Result<Self, BadSettings> {
        let is_dropped = |protocol| {
            let dropped = TunnelPort {
                protocol,
                port: None,
            };
            settings.contains(&dropped)
        };
        let defaults = DEFAULT_PORTS.into_iter();
        let mut ports: Vec<_> = defaults.filter(|(_, p)| !is_dropped(*p)).collect();
        for setting in settings {
            let Some(port) = setting.port else { continue };
            match ports.iter().find(|(other, _)| *other == port) {
                Some((_, protocol)) if *protocol == setting.protocol => {}
                Some((_, protocol)) => {
                    return Err(BadSettings::new(format!(
                        "invalid tunnel_port {setting}: port {port} is that of {protocol}"
                    )));
                }
                None => ports.push((port, setting.protocol)),
            }
        }
        if ports.len() > Self::MAX {
            let (count, limit) = (ports.len(), Self::MAX);
            return Err(BadSettings::new(format!(
                "invalid tunnel_port: {count} ports in all, must be at most {limit}"
            )));
        }
        Ok(Self::of(ports))
    }

    /// All ports.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.iter().map(|(port, _)| *port)
    }

    /// False if neither port is one of these, except for a few that only resemble them.
    #[inline]
    pub(super) fn may_have(&self, ports: [u16; 2]) -> bool {
        ports
            .into_iter()
            .any(|port| self.clear.has_low_octet_of(port) || self.encrypted.has_low_octet_of(port))
    }

    /// The protocol of a destination port, if its payload is not encrypted.
    #[inline]
    #[must_use]
    pub fn protocol(&self, port: u16) -> Option<TunnelProtocol> {
        if !self.clear.has_low_octet_of(port) {
            return None;
        }
        self.find(port).filter(|protocol| !protocol.is_encrypted())
    }

    /// The protocol of the first of two ports that is one of an encrypted protocol.
    #[inline]
    #[must_use]
    pub fn encrypted(&self, ports: [u16; 2]) -> Option<TunnelProtocol> {
        let [first, second] = ports;
        if !self.encrypted.has_low_octet_of(first) && !self.encrypted.has_low_octet_of(second) {
            return None;
        }
        let mut found = ports.into_iter().filter_map(|port| self.find(port));
        found.find(|protocol| protocol.is_encrypted())
    }

    fn find(&self, port: u16) -> Option<TunnelProtocol> {
        let mut ports = self.ports.iter();
        ports
            .find(|(other, _)| *other == port)
            .map(|(_, protocol)| *protocol)
    }
}

impl Default for TunnelPorts {
    fn default() -> Self {
        Self::of(DEFAULT_PORTS.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(settings: &[&str]) -> Result<TunnelPorts, BadSettings> {
        let settings: Vec<_> = settings.iter().map(|text| text.parse().unwrap()).collect();
        TunnelPorts::new(&settings)
    }

    #[test]
    fn ports_are_added_to_the_default_ones() {
        let ports = ports(&["vxlan=8473", "geneve=6082", "vxlan=4789"]).unwrap();
        for (port, protocol) in [
            (8473, Some(TunnelProtocol::Vxlan)),
            (4789, Some(TunnelProtocol::Vxlan)),
            (6082, Some(TunnelProtocol::Geneve)),
            (6081, Some(TunnelProtocol::Geneve)),
            (4790, Some(TunnelProtocol::VxlanGpe)),
            (53, None),
        ] {
            assert_eq!(ports.protocol(port), protocol, "{port}");
        }
    }

    #[test]
    fn none_drops_the_default_ports_of_a_protocol() {
        let ports = ports(&["vxlan=none", "vxlan=9000"]).unwrap();
        assert_eq!(ports.protocol(4789), None);
        assert_eq!(ports.protocol(8472), None);
        assert_eq!(ports.protocol(9000), Some(TunnelProtocol::Vxlan));
        assert_eq!(ports.protocol(6081), Some(TunnelProtocol::Geneve));
    }

    #[test]
    fn a_port_has_one_protocol() {
        let message = ports(&["geneve=4789"]).unwrap_err().to_string();
        assert!(message.contains("port 4789 is that of vxlan"), "{message}");
        assert!(ports(&["vxlan=none", "geneve=4789"]).is_ok());
    }

    #[test]
    fn an_encrypted_protocol_is_recognized_by_either_port() {
        let ports = ports(&["wireguard=40", "esp=none"]).unwrap();
        for (pair, protocol) in [
            ([9, 51_820], Some(TunnelProtocol::WireGuard)),
            ([51_820, 9], Some(TunnelProtocol::WireGuard)),
            ([40, 4789], Some(TunnelProtocol::WireGuard)),
            ([4500, 4500], None),
            // The same low octet.
            ([40 + 256, 4789], None),
        ] {
            assert_eq!(ports.encrypted(pair), protocol, "{pair:?}");
        }
        assert_eq!(ports.protocol(51_820), None);
    }

    #[test]
    fn invalid_ports_are_refused() {
        for text in [
            "",
            "8473",
            "vxlan",
            "vxlan=",
            "vxlan=0",
            "vxlan=65536",
            "gtp=2152",
            "vxlan=-1",
        ] {
            let message = text.parse::<TunnelPort>().unwrap_err().to_string();
            assert!(message.contains("must be PROTOCOL=PORT"), "{message}");
        }
    }
}
