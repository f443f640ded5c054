//! UDP ports of tunnel protocols.

use std::fmt;
use std::str::FromStr;

use kipfix_service::settings::BadSettings;

/// A tunnel protocol over UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelProtocol {
    /// VXLAN, RFC 7348.
    Vxlan,
    /// VXLAN with the protocol of the payload in its header (draft-ietf-nvo3-vxlan-gpe).
    VxlanGpe,
    /// Geneve, RFC 8926.
    Geneve,
}

impl TunnelProtocol {
    const ALL: [Self; 3] = [Self::Vxlan, Self::VxlanGpe, Self::Geneve];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::VxlanGpe => "vxlan-gpe",
            Self::Geneve => "geneve",
        }
    }
}

/// Registered ports, and 8472: the default of Linux and of Flannel for VXLAN.
const DEFAULT_PORTS: [(u16, TunnelProtocol); 4] = [
    (4789, TunnelProtocol::Vxlan),
    (8472, TunnelProtocol::Vxlan),
    (4790, TunnelProtocol::VxlanGpe),
    (6081, TunnelProtocol::Geneve),
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
            BadSettings::new(format!(
                "invalid tunnel_port {text:?}: must be PROTOCOL=PORT or PROTOCOL=none, with \
                 PROTOCOL vxlan, vxlan-gpe or geneve and PORT 1–65535"
            ))
        };
        let (name, port) = text.split_once('=').ok_or_else(invalid)?;
        let mut protocols = TunnelProtocol::ALL.into_iter();
        let protocol = protocols.find(|protocol| protocol.as_str() == name);
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
            protocol: protocol.ok_or_else(invalid)?,
            port,
        })
    }
}

impl fmt::Display for TunnelPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.protocol.as_str();
        match self.port {
            Some(port) => write!(f, "{name}={port}"),
            None => write!(f, "{name}=none"),
        }
    }
}

kipfix_service::text_setting!(TunnelPort);

/// The ports of all tunnel protocols.
#[derive(Clone, Debug)]
pub struct TunnelPorts(Vec<(u16, TunnelProtocol)>);

impl TunnelPorts {
    /// Maximum number of ports. They are searched for every UDP packet.
    pub const MAX: usize = 32;

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
                        "invalid tunnel_port {setting}: port {port} is that of {}",
                        protocol.as_str()
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
        Ok(Self(ports))
    }

    /// All ports.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.0.iter().map(|(port, _)| *port)
    }

    /// The protocol of a destination port.
    #[inline]
    #[must_use]
    pub fn protocol(&self, port: u16) -> Option<TunnelProtocol> {
        let mut ports = self.0.iter();
        ports
            .find(|(other, _)| *other == port)
            .map(|(_, protocol)| *protocol)
    }
}

impl Default for TunnelPorts {
    fn default() -> Self {
        Self(DEFAULT_PORTS.to_vec())
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
