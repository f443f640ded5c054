//! Selection of interfaces: those that match a pattern, or by default those that lead out of the
//! node.

use std::fmt;
use std::str::FromStr;

use kipfix_service::settings::BadSettings;
use regex::Regex;

use super::netlink::Link;

/// Kinds of links that encapsulate packets and pass them on to another link of the node.
const TUNNEL_KINDS: [&str; 12] = [
    "vxlan",
    "geneve",
    "gre",
    "gretap",
    "erspan",
    "ip6gre",
    "ip6gretap",
    "ipip",
    "sit",
    "ip6tnl",
    "vti",
    "vti6",
];

/// Other kinds of links whose packets also pass another link of the node, or never leave it.
const LOCAL_KINDS: [&str; 8] = [
    "veth",
    "bridge",
    "openvswitch",
    "tun",
    "wireguard",
    "dummy",
    "ifb",
    "xfrm",
];

/// A name, a glob (`eth*`, `ens[12]`) or a regular expression. It must match the whole name.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    /// `None` for a plain name.
    expression: Option<Regex>,
}

impl Pattern {
    /// True if the pattern matches this name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.expression {
            Some(expression) => expression.is_match(name),
            None => self.text == name,
        }
    }

    /// The name, if the pattern is a plain name. Such an interface must exist.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.expression.is_none().then_some(self.text.as_str())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

kipfix_service::text_setting!(Pattern);

impl FromStr for Pattern {
    type Err = BadSettings;

    /// Parses a pattern. Characters that only a regular expression has make it one: `^ $ ( ) | + \
    /// {`, `.*`, `.?`, or `]` with a quantifier.
    fn from_str(text: &str) -> Result<Self, BadSettings> {
        let refuse = |problem: &str| {
            BadSettings::new(format!(
                "invalid interface {text:?}: {problem}: must be a name (eth0), a glob (eth*) or a \
                 regular expression (eth[0-9]+)"
            ))
        };
        if text.is_empty() {
            return Err(refuse("empty"));
        }
        let is_expression = text.contains(['^', '$', '(', ')', '|', '+', '\\', '{'])
            || [".*", ".?", "]*", "]?"]
                .iter()
                .any(|sign| text.contains(sign));
        let body = if is_expression {
            text.to_owned()
        } else if text.contains(['*', '?', '[']) {
            let mut body = String::new();
            for character in text.chars() {
                match character {
                    '*' => body.push_str(".*"),
                    '?' => body.push('.'),
                    '.' => body.push_str("\\."),
                    '!' if body.ends_with('[') => body.push('^'),
                    other => body.push(other),
                }
            }
            body
        } else {
            return Ok(Self {
                text: text.to_owned(),
                expression: None,
            });
        };
        let expression =
            Regex::new(&format!("^(?:{body})$")).map_err(|_| refuse("not a valid expression"))?;
        Ok(Self {
            text: text.to_owned(),
            expression: Some(expression),
        })
    }
}

/// Selected interfaces, and the reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Selection<'a> {
    /// The interfaces, in the order of their ifIndex.
    pub links: Vec<&'a Link>,
    /// Why they were selected.
    pub reason: &'static str,
}

/// Selects the links that any pattern matches. Without patterns, selects those that lead out of the
/// node; `default_routes` has the ifIndex of those with a default route.
#[must_use]
pub fn select<'a>(
    links: &'a [Link],
    default_routes: &[u32],
    patterns: &[Pattern],
) -> Selection<'a> {
    let choose = |wanted: &dyn Fn(&Link) -> bool| -> Vec<&'a Link> {
        links
            .iter()
            .filter(|link| link.up && wanted(link))
            .collect()
    };
    if !patterns.is_empty() {
        return Selection {
            links: choose(&|link| patterns.iter().any(|pattern| pattern.matches(&link.name))),
            reason: "matches --interface",
        };
    }
    let is_outer = |link: &Link| {
        let kind = link.kind.as_str();
        let is_inner = LOCAL_KINDS.contains(&kind) || TUNNEL_KINDS.contains(&kind);
        !link.loopback && !link.is_member() && !is_inner
    };
    let has_default_route = |link: &Link| default_routes.contains(&link.index);
    // A node that is itself a container has its default route on a veth, one with Open vSwitch on a
    // bridge. Those are used if no device qualifies.
    type Choice<'c> = (&'c dyn Fn(&Link) -> bool, &'static str);
    let choices: [Choice<'_>; 4] = [
        (
            &|link| is_outer(link) && has_default_route(link),
            "up and with a default route",
        ),
        (
            &|link| !link.loopback && has_default_route(link),
            "virtual with a default route: no device has one",
        ),
        (&is_outer, "up: nothing has a default route"),
        (
            &|link| !link.loopback && !link.is_member(),
            "virtual and up: nothing has a default route and no device is up",
        ),
    ];
    for (wanted, reason) in choices {
        let links = choose(wanted);
        if !links.is_empty() {
            return Selection { links, reason };
        }
    }
    Selection {
        links: Vec::new(),
        reason: "",
    }
}

/// Links that lead out of the node: devices, tunnels, and all with a default route.
#[must_use]
pub fn outside(links: &[Link], default_routes: &[u32]) -> Vec<u32> {
    let is_outside = |link: &&Link| {
        let is_local = LOCAL_KINDS.contains(&link.kind.as_str());
        !link.loopback && (!is_local || default_routes.contains(&link.index))
    };
    links
        .iter()
        .filter(is_outside)
        .map(|link| link.index)
        .collect()
}

/// True if a connection can be observed on two sides of an address translation: on two links, of
/// which one does not lead out of the node. What passes links that lead out only is relayed.
#[must_use]
pub fn has_two_sides(links: &[Link], outside: &[u32]) -> bool {
    let is_side = |link: &&Link| link.up && !link.loopback;
    let is_inside = |link: &Link| !outside.contains(&link.index);
    links.iter().filter(is_side).count() >= 2 && links.iter().filter(is_side).any(is_inside)
}

/// Pairs of the captured interfaces that a packet can pass in the same direction: one is stacked on
/// the other (a bond or bridge and its members, a VLAN and its device), or both are ports of one
/// bridge.
#[must_use]
pub fn stacked_pairs(links: &[Link], captured: &[u32]) -> Vec<(u32, u32)> {
    /// Levels of stacking that are followed.
    const MAX_LEVELS: usize = 8;
    let find = |index: u32| links.iter().find(|link| link.index == index);
    let is_bridge = |index: u32| {
        find(index).is_some_and(|link| matches!(link.kind.as_str(), "bridge" | "openvswitch"))
    };
    // Links that are connected with `start` by one kind of relation.
    let related = |start: u32, next: fn(&Link) -> u32| -> Vec<u32> {
        let steps = std::iter::successors(Some(start), |index| {
            find(*index).map(next).filter(|next| *next != 0)
        });
        steps.skip(1).take(MAX_LEVELS).collect()
    };
    let masters = |index| related(index, |link| link.master);
    let lowers = |index| related(index, |link| link.lower);
    let mut pairs = Vec::new();
    for (at, a) in captured.iter().copied().enumerate() {
        for b in captured.iter().copied().skip(at + 1) {
            // The device below a VLAN may itself be a member of a bond.
            let below = |upper: u32, index: u32| {
                masters(index).contains(&upper)
                    || lowers(upper).contains(&index)
                    || lowers(upper).iter().any(|l| masters(index).contains(l))
            };
            let shares_bridge = masters(a)
                .iter()
                .any(|master| is_bridge(*master) && masters(b).contains(master));
            if below(a, b) || below(b, a) || shares_bridge {
                pairs.push((a, b));
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, kind: &str) -> Link {
        Link {
            index,
            name: name.into(),
            kind: kind.into(),
            up: true,
            loopback: name == "lo",
            ..Link::default()
        }
    }

    fn chosen(links: &[Link], default_routes: &[u32], patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<_> = patterns.iter().map(|text| text.parse().unwrap()).collect();
        select(links, default_routes, &patterns)
            .links
            .iter()
            .map(|link| link.name.clone())
            .collect()
    }

    fn node() -> Vec<Link> {
        vec![
            link(1, "lo", ""),
            link(2, "eth0", ""),
            link(3, "eth1", ""),
            link(4, "cni0", "bridge"),
            link(5, "veth1", "veth"),
            link(6, "flannel.1", "vxlan"),
        ]
    }

    #[test]
    fn a_translation_has_two_sides_if_a_link_does_not_lead_out() {
        let two_sides = |names: &[&str]| {
            let mut links = node();
            links.retain(|link| names.contains(&link.name.as_str()));
            has_two_sides(&links, &outside(&links, &[2]))
        };
        assert!(two_sides(&["lo", "eth0", "veth1"]));
        assert!(two_sides(&["cni0", "veth1"]));
        assert!(!two_sides(&["lo", "eth0", "eth1", "flannel.1"]));
        assert!(!two_sides(&["lo", "veth1"]));
        assert!(!two_sides(&["lo", "eth0"]));
        let mut links = node();
        links.retain(|link| ["eth0", "veth1"].contains(&link.name.as_str()));
        links.iter_mut().for_each(|link| link.up = link.index == 2);
        assert!(!has_two_sides(&links, &[2]));
    }

    #[test]
    fn names_globs_and_expressions_match_whole_names() {
        for (pattern, wanted) in [
            ("eth0", vec!["eth0"]),
            ("eth*", vec!["eth0", "eth1"]),
            ("eth?", vec!["eth0", "eth1"]),
            ("eth[!0]", vec!["eth1"]),
            ("eth[0-9]+", vec!["eth0", "eth1"]),
            ("(cni|veth).*", vec!["cni0", "veth1"]),
            ("flannel.1", vec!["flannel.1"]),
            ("eth", vec![]),
        ] {
            assert_eq!(chosen(&node(), &[], &[pattern]), wanted, "{pattern}");
        }
        assert!("eth[".parse::<Pattern>().is_err());
        assert!("".parse::<Pattern>().is_err());
    }

    #[test]
    fn without_patterns_the_devices_with_a_default_route_are_selected() {
        assert_eq!(chosen(&node(), &[2], &[]), ["eth0"]);
        assert_eq!(chosen(&node(), &[2, 3, 6], &[]), ["eth0", "eth1"]);
    }

    #[test]
    fn devices_tunnels_and_default_routes_lead_out_of_the_node() {
        assert_eq!(outside(&node(), &[2]), [2, 3, 6]);
        // The default route of a node inside a container is a veth.
        assert_eq!(outside(&node(), &[5]), [2, 3, 5, 6]);
    }

    #[test]
    fn a_node_inside_a_container_is_captured_on_its_veth() {
        let links = [link(1, "lo", ""), link(2, "eth0", "veth")];
        assert_eq!(chosen(&links, &[2], &[]), ["eth0"]);
    }

    #[test]
    fn without_any_default_route_the_devices_are_selected() {
        assert_eq!(chosen(&node(), &[], &[]), ["eth0", "eth1"]);
        assert_eq!(chosen(&[link(1, "lo", "")], &[], &[]), [""; 0]);
    }

    #[test]
    fn a_bond_is_selected_instead_of_its_members() {
        let mut links = vec![link(2, "eth0", ""), link(3, "bond0", "bond")];
        links[0].master = 3;
        assert_eq!(chosen(&links, &[3], &[]), ["bond0"]);
    }

    #[test]
    fn stacked_interfaces_and_ports_of_a_bridge_pass_the_same_packets() {
        let below = |mut link: Link, master: u32, lower: u32| {
            link.master = master;
            link.lower = lower;
            link
        };
        let links = [
            below(link(1, "eth0", ""), 3, 0),
            below(link(2, "eth1", ""), 3, 0),
            link(3, "bond0", "bond"),
            below(link(4, "bond0.5", "vlan"), 0, 3),
            link(5, "br0", "bridge"),
            below(link(6, "veth1", "veth"), 5, 0),
            below(link(7, "veth2", "veth"), 5, 0),
            link(8, "eth2", ""),
        ];
        let all: Vec<u32> = (1..=8).collect();
        let pairs = stacked_pairs(&links, &all);
        let expected = [
            (1, 3),
            (1, 4),
            (2, 3),
            (2, 4),
            (3, 4),
            (5, 6),
            (5, 7),
            (6, 7),
        ];
        assert_eq!(pairs, expected);
        assert_eq!(stacked_pairs(&links, &[1, 2, 8]), []);
        // A cycle ends.
        let cycle = [below(link(1, "a", ""), 2, 2), below(link(2, "b", ""), 1, 1)];
        assert_eq!(stacked_pairs(&cycle, &[1, 2]), [(1, 2)]);
    }
}
