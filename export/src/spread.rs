//! A target with several addresses, such as a headless Service. Every flow goes to one of them, and
//! every exporter that observes the flow, from either side, selects the same one.
//!
//! The selection is by rendezvous hashing: the address with the highest hash of address and flow
//! key. If an address is removed, its flows move evenly to all others, and no other flow moves. A
//! new address takes its share of each. The key has no direction and the hash has no seed, so that
//! probes agree.

use std::fmt::{self, Debug};
use std::net::{IpAddr, SocketAddr};

use flowproto::FlowKey;

use crate::counters::{LossReason, TargetCounters, to_u64};
use crate::exporter::{Exporter, finish_all};
use crate::names::TargetName;
use crate::session::{Encoding, RecordOf};

/// Opens the exporter of one of the addresses.
pub type OpenDestination<R> =
    Box<dyn Fn(SocketAddr) -> std::io::Result<Box<dyn Exporter<R>>> + Send>;

/// All addresses of a name, each with an exporter of its own.
pub struct SpreadExporter<E: Encoding> {
    name: TargetName,
    revision: u64,
    open: OpenDestination<RecordOf<E>>,
    destinations: Vec<AddressExporter<RecordOf<E>>>,
    counters: TargetCounters,
    failed: bool,
}

/// The exporter of one address.
#[derive(Debug)]
struct AddressExporter<R> {
    address: SocketAddr,
    /// Hash of the address.
    hash: u64,
    exporter: Box<dyn Exporter<R>>,
    /// Its records of the current batch.
    share: Vec<R>,
}

impl<E: Encoding> Debug for SpreadExporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpreadExporter")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl<E: Encoding> SpreadExporter<E> {
    /// Creates a target without an open address.
    #[must_use]
    pub fn new(
        name: TargetName,
        open: OpenDestination<RecordOf<E>>,
        counters: TargetCounters,
    ) -> Self {
        Self {
            name,
            revision: 0,
            open,
            destinations: Vec::new(),
            counters,
            failed: false,
        }
    }

    /// Closes addresses that were removed from the name, and opens those that were added.
    fn follow(&mut self, now_milliseconds: u64) {
        let revision = self.name.revision();
        if self.revision == revision && !self.failed {
            return;
        }
        self.revision = revision;
        self.failed = false;
        let addresses = one_family(self.name.addresses());
        let (stay, gone) = std::mem::take(&mut self.destinations)
            .into_iter()
            .partition(|destination| addresses.contains(&destination.address));
        self.destinations = stay;
        for mut destination in gone {
            // Sending its last records may take time. The others do not wait for it.
            let end = std::thread::Builder::new()
                .name("target".to_owned())
                .spawn(move || destination.exporter.finish(now_milliseconds));
            if let Err(error) = end {
                tracing::warn!(%error, "cannot end a removed address of an export target");
            }
        }
        for address in addresses {
            if self.destinations.iter().any(|d| d.address == address) {
                continue;
            }
            match (self.open)(address) {
                Ok(exporter) => self.destinations.push(AddressExporter {
                    address,
                    hash: hash_of_address(address),
                    exporter,
                    share: Vec::new(),
                }),
                Err(error) => {
                    tracing::warn!(%address, %error, "cannot open export target");
                    self.failed = true;
                }
            }
        }
    }
}

impl<E: Encoding> Exporter<RecordOf<E>> for SpreadExporter<E> {
    fn export(&mut self, records: &[RecordOf<E>], now_milliseconds: u64) {
        self.follow(now_milliseconds);
        if self.destinations.is_empty() {
            self.counters
                .records_lost(LossReason::Unresolved, to_u64(records.len()));
            return;
        }
        for record in records {
            let flow = hash_of_flow(&E::flow_key(record));
            let selected = self
                .destinations
                .iter_mut()
                .max_by_key(|destination| (mix(flow ^ destination.hash), destination.address));
            if let Some(destination) = selected {
                destination.share.push(record.clone());
            }
        }
        for destination in &mut self.destinations {
            if !destination.share.is_empty() {
                destination
                    .exporter
                    .export(&destination.share, now_milliseconds);
                destination.share.clear();
            }
        }
    }

    fn flush(&mut self, now_milliseconds: u64) {
        self.follow(now_milliseconds);
        for destination in &mut self.destinations {
            destination.exporter.flush(now_milliseconds);
        }
    }

    fn settle(&mut self) {
        for destination in &mut self.destinations {
            destination.exporter.settle();
        }
    }

    fn finish(&mut self, now_milliseconds: u64) {
        let exporters = self.destinations.iter_mut().map(|d| &mut d.exporter);
        finish_all(exporters, now_milliseconds);
    }
}

/// The addresses of the family that the resolver puts first. A host with an IPv4 and an IPv6
/// address is one destination.
fn one_family(mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    if let Some(first) = addresses.first().copied() {
        addresses.retain(|address| address.is_ipv4() == first.is_ipv4());
    }
    addresses.sort_unstable();
    addresses
}

/// A hash of a flow, the same for both directions. It does not change between versions.
#[must_use]
pub fn hash_of_flow(key: &FlowKey) -> u64 {
    let source = (key.source_address.bits(), key.source_port);
    let destination = (key.destination_address.bits(), key.destination_port);
    let (low, high) = if source <= destination {
        (source, destination)
    } else {
        (destination, source)
    };
    let ports = u64::from(low.1) << 32 | u64::from(high.1) << 16;
    let mut hash = mix(ports | u64::from(key.protocol_identifier));
    for word in halves(low.0).into_iter().chain(halves(high.0)) {
        hash = mix(hash ^ word);
    }
    hash
}

fn hash_of_address(address: SocketAddr) -> u64 {
    let bits = match address.ip() {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let [low, high] = halves(bits);
    mix(mix(mix(u64::from(address.port())) ^ low) ^ high)
}

#[allow(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "the two halves of 128 bits"
)]
const fn halves(bits: u128) -> [u64; 2] {
    [bits as u64, (bits >> 64) as u64]
}

/// The finalizer of splitmix64: every bit of the input changes half of the output. It must not
/// change, because probes of different versions must agree.
const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_encoding::Plain;
    use flowproto::{Address, FlowRecord};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    type Taken = Arc<Mutex<BTreeMap<SocketAddr, Vec<FlowKey>>>>;

    #[derive(Debug)]
    struct Take(SocketAddr, Taken);

    impl Exporter<FlowRecord> for Take {
        fn export(&mut self, records: &[FlowRecord], _: u64) {
            let mut taken = self.1.lock().unwrap();
            let keys = records.iter().map(|record| record.key);
            taken.entry(self.0).or_default().extend(keys);
        }
        fn flush(&mut self, _: u64) {}
        fn finish(&mut self, _: u64) {}
    }

    fn records() -> Vec<FlowRecord> {
        let record = |n: u32| FlowRecord {
            key: FlowKey {
                source_address: Address::from_v4_bits(0x0a00_0000 + n),
                destination_address: Address::from_v4_bits(0x0a01_0000 + n % 7),
                source_port: 40_000,
                destination_port: 443,
                protocol_identifier: 6,
            },
            ..FlowRecord::default()
        };
        (0..4000).map(record).collect()
    }

    /// The address that each flow goes to.
    fn shares(name: &TargetName, records: &[FlowRecord]) -> BTreeMap<FlowKey2, SocketAddr> {
        let taken = Taken::default();
        let kept = Arc::clone(&taken);
        let open: OpenDestination<FlowRecord> = Box::new(move |address| {
            let take: Box<dyn Exporter<FlowRecord>> = Box::new(Take(address, Arc::clone(&kept)));
            Ok(take)
        });
        let mut spread =
            SpreadExporter::<Plain>::new(name.clone(), open, TargetCounters::for_tests());
        spread.export(records, 0);
        let taken = taken.lock().unwrap();
        let each = taken
            .iter()
            .flat_map(|(address, keys)| keys.iter().map(|key| (order(key), *address)));
        each.collect()
    }

    type FlowKey2 = (u128, u128);

    fn order(key: &FlowKey) -> FlowKey2 {
        let (a, b) = (key.source_address.bits(), key.destination_address.bits());
        (a.min(b), a.max(b))
    }

    fn addresses(last: &[u8]) -> Vec<SocketAddr> {
        last.iter().map(|n| ([10, 9, 0, *n], 4739).into()).collect()
    }

    #[test]
    fn both_directions_of_a_flow_go_to_the_same_address_and_all_have_their_share() {
        let name = TargetName::new("collectors", 4739);
        name.move_to(&addresses(&[1, 2, 3, 4]));
        let forward = records();
        let reverse: Vec<FlowRecord> = forward
            .iter()
            .map(|record| FlowRecord {
                key: record.key.reversed(),
                ..record.clone()
            })
            .collect();
        let shares = [shares(&name, &forward), shares(&name, &reverse)];
        assert_eq!(shares[0], shares[1]);
        for address in addresses(&[1, 2, 3, 4]) {
            let share = shares[0].values().filter(|a| **a == address).count();
            assert!((850..1150).contains(&share), "{address}: {share} of 4000");
        }
    }

    #[test]
    fn only_the_share_of_a_removed_address_moves() {
        let name = TargetName::new("collectors", 4739);
        name.move_to(&addresses(&[1, 2, 3, 4]));
        let before = shares(&name, &records());
        name.move_to(&addresses(&[4, 1, 2]));
        let after = shares(&name, &records());
        let gone = addresses(&[3])[0];
        for (flow, address) in before {
            if address != gone {
                assert_eq!(after[&flow], address);
            }
        }
    }

    #[test]
    fn a_host_with_addresses_of_both_families_receives_each_flow_once() {
        let name = TargetName::new("collectors", 4739);
        name.move_to(&[
            "10.9.0.1:4739".parse().unwrap(),
            "[fd00::1]:4739".parse().unwrap(),
        ]);
        let shares = shares(&name, &records());
        assert!(shares.values().all(|address| address.is_ipv4()));
    }

    #[test]
    fn without_an_address_records_are_counted_as_unresolved() {
        let counters = TargetCounters::for_tests();
        let open: OpenDestination<FlowRecord> = Box::new(|_| unreachable!("there is no address"));
        let name = TargetName::new("nowhere.example", 4739);
        SpreadExporter::<Plain>::new(name, open, counters.clone()).export(&records(), 0);
        assert_eq!(counters.lost_for(LossReason::Unresolved), 4000);
    }
}
