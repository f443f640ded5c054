//! Multicast DNS (RFC 6762), which is not counted as DNS. Its responders answer a query from
//! another port than 5353 as a DNS server at port 5353 does (RFC 6762 §6.7).

/// True for names of multicast DNS: of a host, as `printer.local`, and of a service, as
/// `_ipp._tcp.local`. Longer names under `local` are also those of clusters.
pub(super) fn is_name(name: &[u8]) -> bool {
    let mut labels = name.rsplit(|octet| *octet == b'.');
    let top = labels.next().unwrap_or_default();
    if !top.eq_ignore_ascii_case(b"local") {
        return false;
    }
    let parent = labels.next().unwrap_or_default();
    let is_service = [&b"_tcp"[..], b"_udp"]
        .iter()
        .any(|label| parent.eq_ignore_ascii_case(label));
    is_service || labels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_and_services_are_those_of_multicast_dns() {
        for (name, wanted) in [
            ("printer.local", true),
            ("Printer.LOCAL", true),
            ("local", true),
            ("_ipp._tcp.local", true),
            ("office._ipp._TCP.local", true),
            ("_services._dns-sd._udp.local", true),
            ("db.shop.svc.cluster.local", false),
            ("_https._tcp.api.default.svc.cluster.local", false),
            ("www.corp.local", false),
            ("printer.locals", false),
            ("local.example.org", false),
            ("", false),
        ] {
            assert_eq!(is_name(name.as_bytes()), wanted, "{name}");
        }
    }
}
