//! What it costs to say who an address outside is, with tables of the size of real ones.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "bench code"
)]

use std::hint::black_box;
use std::net::{Ipv4Addr, Ipv6Addr};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flowproto::Address;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use kipfix_collector::inventory::external::{ExternalSources, ExternalWatcher};
use mmdb_writer::{Value, Writer};

const SYSTEMS: u32 = 75_000;
const NETWORKS_V4: u32 = 400_000;
const NETWORKS_V6: u32 = 100_000;

/// The same numbers every time, spread over all of 32 bits.
fn scattered(number: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b1).rotate_left(7) ^ number
}

/// As many networks and systems as the published databases have.
fn database() -> Vec<u8> {
    let mut writer = Writer::new("Bench-ASN");
    let mut insert = |net: IpNet, number: u32| {
        let system = 1 + scattered(number) % SYSTEMS;
        let value = Value::map([
            ("autonomous_system_number", Value::from(system)),
            (
                "autonomous_system_organization",
                Value::from(format!("Organisation {system}")),
            ),
        ]);
        writer.insert_value(net, value).unwrap();
    };
    for number in 0..NETWORKS_V4 {
        let first = Ipv4Addr::from_bits(scattered(number));
        let net = Ipv4Net::new(first, 24).unwrap().trunc();
        insert(net.into(), number);
    }
    for number in 0..NETWORKS_V6 {
        let net = Ipv6Net::new(v6(number), 44).unwrap().trunc();
        insert(net.into(), number);
    }
    writer.to_bytes().unwrap()
}

/// Where real ones are: most in a few /12s of `2000::/3`.
fn v6(number: u32) -> Ipv6Addr {
    let registries = [
        0x2003_u32, 0x2400, 0x2600, 0x2a00, 0x2a02, 0x2a06, 0x2803, 0x2c0f,
    ];
    let at = usize::try_from(number % 8).unwrap();
    let bits = u128::from(registries[at]) << 112 | u128::from(scattered(number)) << 80;
    Ipv6Addr::from_bits(bits | 1)
}

fn lookups(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("asn.mmdb");
    std::fs::write(&path, database()).unwrap();
    let files = ExternalSources {
        databases: vec![path],
        ..ExternalSources::default()
    };

    let mut group = criterion.benchmark_group("outside");
    group.sample_size(10);
    group.bench_function("read 500k networks", |bencher| {
        bencher.iter(|| ExternalWatcher::new(&files).unwrap());
    });

    let published = ExternalWatcher::new(&files).unwrap().published();
    let outside = published.load_full();
    let ipv4: Vec<Address> = (0..10_000)
        .map(|n| Address::from_v4_bits(scattered(n * 40)))
        .collect();
    let ipv6: Vec<Address> = (0..10_000).map(|n| v6(n * 10).into()).collect();
    group.sample_size(50);
    group.throughput(Throughput::Elements(10_000));
    for (name, addresses) in [("lookup ipv4", &ipv4), ("lookup ipv6", &ipv6)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for address in addresses {
                    black_box(outside.lookup(*address));
                }
            });
        });
    }
    group.bench_function("published, lookup ipv4, attributes", |bencher| {
        bencher.iter(|| {
            for address in &ipv4 {
                let outside = published.load();
                black_box(outside.attributes(outside.lookup(*address)).as_number);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, lookups);
criterion_main!(benches);
