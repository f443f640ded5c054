//! Which conversations there are, between whom, and in which order their packets come.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};

use super::GenerateSettings;
use super::conversation::{Conversation, ConversationKind};
use crate::random::Random;

/// Number of the node on which the capture is made.
pub(crate) const LOCAL_NODE: u8 = 1;
/// Pods of that node, the clients.
const PODS: u64 = 110;
/// Flows for which the clients have enough ports.
const MAX_FLOWS: u64 = 5_000_000;

/// Makes the conversations: their kinds, sizes (Zipf) and addresses.
pub(crate) fn conversations(settings: &GenerateSettings) -> Result<Vec<Conversation>> {
    let mut random = Random::new(settings.seed);
    let mut conversations = kinds(settings, &mut random)?;
    // A conversation's rank must not depend on its kind.
    for at in (1..conversations.len()).rev() {
        let other = random.below(at as u64 + 1) as usize;
        conversations.swap(at, other);
    }
    share_packets(settings, &mut conversations)?;
    let mut echo_pairs = HashSet::new();
    for (number, conversation) in conversations.iter_mut().enumerate() {
        let seed = settings.seed ^ 0xA0A0 ^ ((number as u64) << 20);
        let random = Random::new(seed);
        assign_addresses(
            settings,
            number as u64,
            conversation,
            random,
            &mut echo_pairs,
        );
    }
    Ok(conversations)
}

/// Two-way and one-way conversations, so that their directions add up to the wanted flows.
fn kinds(settings: &GenerateSettings, random: &mut Random) -> Result<Vec<Conversation>> {
    let flows = settings.flows;
    let one_way = ((flows / 20) & !1) | (flows & 1);
    let two_way = (flows - one_way) / 2;
    let count = two_way + one_way;
    ensure!(
        flows <= settings.packets.min(MAX_FLOWS),
        "invalid flows \"{flows}\": must be at most the packets, and at most {MAX_FLOWS}"
    );
    // About half of the packets are left for the elastic part.
    let mean = settings.packets as f64 / count as f64;
    let complete = ((mean - 2.0) * 0.5 / 4.0).clamp(0.02, 0.45);
    let kind = |number| {
        let share = random.unit();
        let kind = if number >= two_way {
            if share < 0.6 {
                ConversationKind::Unanswered
            } else {
                ConversationKind::Syslog
            }
        } else if share < complete {
            ConversationKind::Complete
        } else if share < complete * 1.15 {
            ConversationKind::Aborted
        } else {
            match random.below(100) {
                0..=54 => ConversationKind::Dns,
                55..=69 => ConversationKind::Refused,
                70..=93 => ConversationKind::Quic,
                _ => ConversationKind::Echo,
            }
        };
        Conversation::new(kind)
    };
    Ok((0..count).map(kind).collect())
}

/// Shares the packets that are left among the elastic conversations by their rank.
fn share_packets(settings: &GenerateSettings, conversations: &mut [Conversation]) -> Result<()> {
    let least: u64 = conversations.iter().map(|c| c.packets).sum();
    ensure!(
        least <= settings.packets,
        "invalid packets \"{}\": must be at least {least} for these flows",
        settings.packets
    );
    let left = settings.packets - least;
    let mut elastic: Vec<&mut Conversation> = conversations
        .iter_mut()
        .filter(|c| c.kind.is_elastic())
        .collect();
    ensure!(!elastic.is_empty(), "invalid flows: too few");
    let weight = |rank: usize| ((rank + 1) as f64).powf(-settings.zipf);
    let sum: f64 = (0..elastic.len()).map(weight).sum();
    let mut shared = 0;
    for (rank, conversation) in elastic.iter_mut().enumerate() {
        let share = (left as f64 * weight(rank) / sum).floor() as u64;
        conversation.packets += share;
        shared += share;
    }
    let count = elastic.len();
    for rank in 0..(left - shared) as usize {
        elastic[rank % count].packets += 1;
    }
    Ok(())
}

fn assign_addresses(
    settings: &GenerateSettings,
    number: u64,
    conversation: &mut Conversation,
    mut random: Random,
    echo_pairs: &mut HashSet<(IpAddr, IpAddr)>,
) {
    conversation.is_vxlan = random.unit() < settings.vxlan_share;
    conversation.is_ipv6 = random.unit() < settings.v6_share;
    conversation.node = 2 + random.below(30) as u8;
    let pod = (number % PODS) as u8 + 2;
    conversation.client_port = 32_768 + (number / PODS) as u16;
    conversation.server_port = match conversation.kind {
        ConversationKind::Dns => 53,
        ConversationKind::Syslog => 514,
        ConversationKind::Quic => 443,
        ConversationKind::Echo => 0,
        _ => [443, 80, 8080, 9090, 5432, 6379, 3306, 9092][random.below(8) as usize],
    };
    conversation.client_sequence = random.bits() as u32;
    conversation.server_sequence = random.bits() as u32;
    conversation.vni = 1 + random.below(3) as u32;
    loop {
        conversation.client = pod_address(conversation.is_ipv6, LOCAL_NODE, pod);
        conversation.server = if conversation.is_vxlan {
            let pod = 2 + random.below(100) as u8;
            pod_address(conversation.is_ipv6, conversation.node, pod)
        } else {
            external_address(conversation.is_ipv6, random.bits())
        };
        // ICMP has no ports: a pair of addresses has one such conversation.
        let pair = (conversation.client, conversation.server);
        if conversation.kind != ConversationKind::Echo || echo_pairs.insert(pair) {
            return;
        }
        conversation.node = 2 + random.below(30) as u8;
    }
}

fn pod_address(is_ipv6: bool, node: u8, pod: u8) -> IpAddr {
    if is_ipv6 {
        Ipv6Addr::new(0xfd00, 0x10, 0x244, node.into(), 0, 0, 0, pod.into()).into()
    } else {
        Ipv4Addr::new(10, 244, node, pod).into()
    }
}

/// An address of the ranges that are set aside for benchmarks and documentation.
fn external_address(is_ipv6: bool, random: u64) -> IpAddr {
    let [a, b, c, d, ..] = random.to_be_bytes();
    if is_ipv6 {
        let words = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
        Ipv6Addr::new(0x2001, 0xdb8, words[0], 0, 0, 0, 0, words[1]).into()
    } else {
        Ipv4Addr::new(198, 18 + (a & 1), b, c).into()
    }
}

/// Returns the conversation of each packet in the order of the capture: small conversations are
/// short and begin anywhere, large ones last for most of it.
pub(crate) fn order(settings: &GenerateSettings, conversations: &[Conversation]) -> Vec<u32> {
    const DURATION: u64 = 1 << 40;
    let mut packets: Vec<(u64, u32)> = Vec::with_capacity(settings.packets as usize);
    for (number, conversation) in conversations.iter().enumerate() {
        let mut random = Random::new(settings.seed ^ 0xB1B1 ^ ((number as u64) << 20));
        let is_large = conversation.packets > settings.packets / 1000;
        let start = random.below(if is_large {
            DURATION / 50
        } else {
            DURATION / 100 * 95
        });
        let longest = (DURATION - start) / conversation.packets;
        let gap = if is_large {
            longest
        } else {
            let spread = random.unit() * random.unit() * (DURATION / 400) as f64;
            (DURATION / 20_000 + spread as u64).min(longest)
        }
        .max(1);
        for packet in 0..conversation.packets {
            packets.push((start + packet * gap + random.below(gap), number as u32));
        }
    }
    packets.sort_unstable();
    packets.into_iter().map(|(_, number)| number).collect()
}
