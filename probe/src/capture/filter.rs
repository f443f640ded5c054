//! The kernel filter, applied before anything is copied (pcap-filter(7)).

use std::fmt::Write as _;

use flowproto::protocol::TCP;
use kipfix_export::own_endpoints::OwnEndpoint;
use kipfix_service::settings::BadSettings;
use pcap::{Capture, Linktype};

use super::frame::LinkType;
use super::libpcap::error_message;
use super::share::Share;

/// The expression for a live capture.
///
/// `ip or ip6` alone would miss tagged and labelled frames. The keywords `vlan`, `mpls` and
/// `pppoes` shift the offsets of everything after them, so EtherTypes are compared instead, and own
/// export is excluded, and the part of a thread selected, before the user's expression, which may
/// contain such keywords.
pub(super) fn expression(
    link_type: LinkType,
    given: Option<&str>,
    own_endpoints: &[OwnEndpoint],
    share: Share,
) -> String {
    let mut expression = String::new();
    for OwnEndpoint {
        protocol_identifier,
        address,
        port,
    } in own_endpoints
    {
        // Of a TCP connection, both directions. Writing to a String cannot fail.
        match *protocol_identifier {
            TCP => write!(expression, "not (tcp port {port} and host {address}) and "),
            _ => write!(
                expression,
                "not (udp src port {port} and src host {address}) and "
            ),
        }
        .ok();
    }
    share.write_expression(link_type, &mut expression);
    let wanted = given.unwrap_or(match link_type {
        LinkType::Ethernet | LinkType::LinuxSll | LinkType::LinuxSll2 => {
            "ip or ip6 or ether proto 0x8100 or ether proto 0x88a8 or ether proto 0x9100 \
             or ether proto 0x8847 or ether proto 0x8848 or ether proto 0x8864"
        }
        LinkType::Raw | LinkType::Loopback => "ip or ip6",
        LinkType::Ipv4
        | LinkType::Ipv6
        | LinkType::Ppp
        | LinkType::PppEther
        | LinkType::CiscoHdlc
        | LinkType::Offline(_)
        | LinkType::Unsupported => "greater 0",
    });
    expression + "(" + wanted + ")"
}

/// Checks an expression before anything is opened: it must be valid for Ethernet or for raw IP.
///
/// # Errors
/// The expression is invalid.
pub fn check(given: &str) -> Result<(), BadSettings> {
    let compile = |link_type| Capture::dead(link_type)?.compile(given, true).map(drop);
    let Err(error) = compile(Linktype::ETHERNET) else {
        return Ok(());
    };
    if compile(Linktype(12)).is_ok() {
        return Ok(());
    }
    Err(BadSettings::new(format!(
        "invalid filter {given:?}: {}: must be a pcap-filter(7) expression, e.g. \"tcp port 443\"",
        error_message(&error)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True if the filter passes a frame that has this EtherType and nothing else.
    fn passes(expression: &str, ethertype: u16) -> bool {
        let mut frame = [0; 64];
        frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
        let capture = Capture::dead(Linktype::ETHERNET).unwrap();
        capture.compile(expression, true).unwrap().filter(&frame)
    }

    #[test]
    fn tagged_labelled_and_plain_ip_frames_pass_and_arp_does_not() {
        let source = OwnEndpoint::udp("192.0.2.1:4000".parse().unwrap());
        let expression = expression(LinkType::Ethernet, None, &[source], Share::ALL);
        for ethertype in [
            0x0800, 0x86dd, 0x8100, 0x88a8, 0x9100, 0x8847, 0x8848, 0x8864,
        ] {
            assert!(passes(&expression, ethertype), "{ethertype:#x}");
        }
        assert!(!passes(&expression, 0x0806));
    }

    #[test]
    fn own_export_is_excluded_for_every_link_type_and_expression() {
        let v6 = "[2001:db8::1]:4000".parse().unwrap();
        for (link_type, number) in [
            (LinkType::Ethernet, 1),
            (LinkType::LinuxSll, 113),
            (LinkType::LinuxSll2, 276),
            (LinkType::Raw, 12),
            (LinkType::Loopback, 0),
            (LinkType::Ppp, 9),
        ] {
            let capture = Capture::dead(Linktype(number)).unwrap();
            for given in [None, Some("tcp or udp")] {
                let expression = expression(
                    link_type,
                    given,
                    &[OwnEndpoint::udp(v6), OwnEndpoint::tcp(v6)],
                    Share::ALL,
                );
                assert!(
                    capture.compile(&expression, true).is_ok(),
                    "{link_type:?} {expression}"
                );
            }
        }
    }

    #[test]
    fn an_invalid_expression_is_refused_with_its_text() {
        assert_eq!(check("vlan and tcp port 443"), Ok(()));
        let sentence = check("foo bar").unwrap_err().to_string();
        assert!(
            sentence.starts_with("invalid filter \"foo bar\": "),
            "{sentence}"
        );
    }
}
