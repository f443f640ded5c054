//! Tests of export URLs.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::*;

fn kind(text: &str) -> TargetKind {
    text.parse::<Target>().unwrap().kind
}

fn message(text: &str) -> String {
    text.parse::<Target>().unwrap_err().to_string()
}

fn remote(host: &str, port: u16) -> Remote {
    Remote {
        host: host.to_owned(),
        port,
        records_per_second: None,
        spread: false,
    }
}

#[test]
fn targets_are_parsed_with_their_parameters() {
    assert_eq!(kind("stdout:"), TargetKind::Stdout);
    assert_eq!(
        kind("udp://collector.kipfix.svc:4739"),
        TargetKind::Remote(
            remote("collector.kipfix.svc", 4739),
            Transport::Udp {
                version: Version::Ipfix,
                max_message_octets: 1400,
            }
        )
    );
    assert_eq!(
        kind("udp://[2001:db8::1]:9995?version=9&mtu=512&rate=0&spread=true"),
        TargetKind::Remote(
            Remote {
                records_per_second: Some(0),
                spread: true,
                ..remote("2001:db8::1", 9995)
            },
            Transport::Udp {
                version: Version::Netflow9,
                max_message_octets: 512,
            }
        )
    );
    assert_eq!(
        kind("tls://c:4740?ca=/etc/ca.pem&cert=c.pem&key=k.pem"),
        TargetKind::Remote(
            remote("c", 4740),
            Transport::Tls(Credentials {
                ca: Some("/etc/ca.pem".into()),
                cert: Some("c.pem".into()),
                key: Some("k.pem".into()),
            })
        )
    );
    assert_eq!(
        kind("file:/var/flows.ipfix?rotate-size=1MiB&rotate-every=5m&keep=3"),
        TargetKind::File {
            path: "/var/flows.ipfix".into(),
            rotation: Rotation {
                size: Some(1 << 20),
                every: Some(Span::from_secs(300)),
                keep: NonZeroUsize::new(3),
            },
        }
    );
}

#[test]
fn the_profile_is_a_parameter_of_ipfix() {
    let profile = |text: &str| text.parse::<Target>().unwrap().profile;
    assert_eq!(profile("stdout:"), Profile::All);
    assert_eq!(profile("udp://c:1?profile=all&version=9"), Profile::All);
    for text in [
        "udp://c:1?profile=registered&mtu=900",
        "tcp://c:1?profile=registered",
        "tls://c:1?profile=registered&ca=/ca.pem",
        "file:/x?profile=registered",
    ] {
        assert_eq!(profile(text), Profile::Registered, "{text}");
    }
}

#[test]
fn special_characters_in_paths_are_percent_encoded() {
    assert_eq!(
        kind("tls://c:4740?ca=/etc/a%26b%3d%25.pem"),
        TargetKind::Remote(
            remote("c", 4740),
            Transport::Tls(Credentials {
                ca: Some("/etc/a&b=%.pem".into()),
                ..Credentials::default()
            })
        )
    );
    for (text, path) in [
        ("file:/var/what%3f.ipfix", "/var/what?.ipfix"),
        ("file:/var/a+b.ipfix", "/var/a+b.ipfix"),
        ("file:/var/100%.ipfix", "/var/100%.ipfix"),
    ] {
        let rotation = Rotation::default();
        let path = path.into();
        assert_eq!(kind(text), TargetKind::File { path, rotation });
    }
    let octets = vec![b'/', 0xe9];
    let (path, rotation) = (OsString::from_vec(octets).into(), Rotation::default());
    assert_eq!(kind("file:/%E9"), TargetKind::File { path, rotation });
}

#[test]
fn an_invalid_url_is_refused_with_the_reason_and_the_valid_form() {
    for (text, reason) in [
        ("udp://collector", "missing port"),
        ("udp://collector:0", "invalid port \"0\""),
        (
            "udp://collector:80x",
            "invalid port \"80x\": must be 1–65535",
        ),
        ("udp://:4739", "invalid host \"\""),
        ("udp://2001:db8::1:4739", "in brackets"),
        ("udp:c:4739", "missing // after udp:"),
        ("udp://c:1?mtu=100", "invalid mtu \"100\""),
        ("udp://c:1?rate=fast", "invalid rate \"fast\""),
        ("udp://c:1?version=8", "invalid version \"8\""),
        ("udp://c:1?profile=9", "must be all or registered"),
        (
            "udp://c:1?profile=registered&version=9",
            "profile requires version ipfix",
        ),
        ("udp://c:1?ttl=1", "unknown parameter \"ttl\""),
        ("udp://c:1?spread=some", "invalid spread \"some\""),
        ("tcp://c:1?version=9", "invalid version for tcp"),
        ("tcp://c:1?mtu=1400", "unknown parameter \"mtu\" of tcp"),
        ("tls://c:1?cert=x", "cert and key: both or none"),
        ("tls://c:1?ca=", "invalid ca \"\""),
        ("file:", "missing path"),
        ("file:/x?keep=3", "keep requires"),
        ("file:/x?rotate-size=1&keep=3", "invalid rotate-size \"1\""),
        ("file:/x?rotate-every=1ms", "invalid rotate-every \"1ms\""),
        ("file:/x?rotate-every=1m&keep=0", "invalid keep \"0\""),
        ("sctp://c:1", "SCTP is not supported and not planned"),
        ("dtls://c:1", "DTLS is not supported and not planned"),
        ("http://c", "unknown scheme"),
    ] {
        let message = message(text);
        assert!(message.contains(reason), "{message}");
        let (scheme, _) = text.split_once(':').unwrap();
        let form = match scheme {
            "udp" | "tcp" | "tls" | "file" => format!("must be {scheme}:"),
            _ => "file:PATH or stdout:".to_owned(),
        };
        assert!(message.contains(&form), "{message}");
    }
}
