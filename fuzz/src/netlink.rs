//! Netlink messages with links and routes.

use kipfix_probe::capture::netlink::{default_route, link, next_message};

/// Messages into links and routes: the walk ends, and takes no more than there is.
pub(crate) fn netlink(data: &[u8]) {
    let mut rest = data;
    let mut interfaces = Vec::new();
    while let Some((_, body, next)) = next_message(rest) {
        assert!(next.len() < rest.len() && body.len() < rest.len());
        rest = next;
        if let Some(link) = link(body) {
            assert!(!link.name.is_empty() && !link.name.contains('\0'));
            // Invalid UTF-8 becomes U+FFFD: three octets for one.
            assert!(link.name.len() + link.kind.len() <= 3 * body.len());
        }
        let before = interfaces.len();
        default_route(body, &mut interfaces);
        assert!(interfaces.len() - before <= body.len() / 4);
    }
}
