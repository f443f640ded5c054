//! A warmed-up pipeline allocates nothing, neither for a packet nor for a record.
#![allow(clippy::unwrap_used, reason = "test code")]

mod packets;

use std::time::Duration;

use kipfix_probe::cache::CacheSettings;
use kipfix_probe::capture::frame::{Frame, ObservationPoint};
use kipfix_probe::export::batch::{self, FilledBatches, RecordBatches};
use kipfix_probe::inspect::InspectorSettings;
use kipfix_probe::pipeline::Pipeline;
use kipfix_probe::translation::TranslationSource;
use packets::payloads::{dns_response, hello};
use packets::quic::{Initial, client_hello, crypto};
use packets::*;
use rustls::quic::Version;

/// Connections, datagrams, tunnels and names; more conversations than the cache holds, so that
/// records are made all the time.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let quic_hello = client_hello("quic.example.org", 1200);
    let initial = Initial::first(Version::V1, &[7; 8]);
    let quic = [(0, 900), (900, quic_hello.len())]
        .map(|(start, end)| initial.packet(&crypto(&quic_hello, start, end)));
    for host in 1..=200_u8 {
        let (a, b) = ([10, 0, 0, host], [10, 1, 0, 1]);
        for port in 0..20_u16 {
            let ports = (1000 + port, 80);
            // The node translates the source of the connection.
            let number = u32::from(host) << 16 | u32::from(port);
            let syn = tcp_syn(ports, (number, 0), SYN, 1460);
            for source in [a, [198, 51, 100, host]] {
                frames.push(ethernet(0x0800, &ipv4(6, source, b, &syn)));
            }
            let datagram = ipv4(17, a, b, &udp(1000 + port, 53, b"name"));
            let carried = vxlan(7, &ethernet(0x0800, &datagram));
            frames.push(ethernet(
                0x0800,
                &ipv4(17, b, a, &udp(port, 4789, &carried)),
            ));
            let name = format!("host-{}.example.org", host % 20);
            let answer = dns_response(&name, [192, 0, 2, host]);
            let mut query = answer.clone();
            // The flags of a query.
            query.splice(2..3, [1]);
            let query = udp(1000 + port, 53, &query);
            frames.push(ethernet(0x0800, &ipv4(17, a, b, &query)));
            let answer = udp(53, 1000 + port, &answer);
            frames.push(ethernet(0x0800, &ipv4(17, b, a, &answer)));
            let to = [192, 0, 2, host];
            let syn = tcp_syn((1000 + port, 443), (number, 0), SYN, 1460);
            frames.push(ethernet(0x0800, &ipv4(6, a, to, &syn)));
            // In two segments.
            let hello = hello(&name, 300, host % 2 == 0);
            let mut next = number + 1;
            for part in hello.chunks(200) {
                let segment = tcp((1000 + port, 443), (next, 1), ACK, part);
                frames.push(ethernet(0x0800, &ipv4(6, a, to, &segment)));
                next += 200;
            }
            // Requests and responses, the first of them in two segments.
            let (a, server) = ([10, 2, 0, host], [10, 3, 0, 1]);
            let syn = tcp((1000 + port, 80), (number, 0), SYN, &[]);
            frames.push(ethernet(0x0800, &ipv4(6, a, server, &syn)));
            let request = format!("GET /{host}/{} HTTP/1.1\r\n\r\n", host % 7);
            let mut next = number + 1;
            let (first, second) = request.as_bytes().split_at(9);
            for part in [first, second, request.as_bytes()] {
                let segment = tcp((1000 + port, 80), (next, 1), ACK, part);
                frames.push(ethernet(0x0800, &ipv4(6, a, server, &segment)));
                next += u32::try_from(part.len()).unwrap();
            }
            let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(2);
            let segment = tcp((80, 1000 + port), (1, next), ACK, &response);
            frames.push(ethernet(0x0800, &ipv4(6, server, a, &segment)));
            for part in &quic {
                let datagram = udp(1000 + port, 443, part);
                frames.push(ethernet(0x0800, &ipv4(17, a, to, &datagram)));
            }
            let six = ipv6(17, "fd00::1", "fd00::2", &udp(port, u16::from(host), &[]));
            frames.push(ethernet(0x86dd, &six));
        }
    }
    frames
}

fn round(
    pipeline: &mut Pipeline,
    records: &mut RecordBatches,
    batches: &FilledBatches,
    frames: &[Vec<u8>],
    time_ns: &mut u64,
) {
    for captured in frames {
        *time_ns += 10_000_000;
        let frame: Frame<'_> = frame(captured, *time_ns);
        let is_translated = captured.get(26) == Some(&198);
        let point = ObservationPoint {
            interface: if is_translated { 2 } else { 7 },
            ..ObservationPoint::default()
        };
        pipeline.first_packet(&frame, point);
        pipeline.frame(&frame, ObservationPoint::default(), records);
        while let Ok(batch) = batches.next(Duration::ZERO) {
            batches.give_back(batch);
        }
    }
}

#[test]
fn a_warm_pipeline_allocates_nothing() {
    let frames = frames();
    let mut settings = pipeline_settings(CacheSettings {
        translations: TranslationSource::FirstPackets,
        max_names: 64.try_into().ok(),
        ..cache_settings()
    });
    settings.inspector = InspectorSettings {
        dns: true,
        http: true,
    };
    let mut pipeline = Pipeline::new(settings);
    let (mut queues, batches) = batch::queue(4096, false, 1);
    let mut records = queues.remove(0);
    let mut time_ns = SECOND;
    for _ in 0..8 {
        round(&mut pipeline, &mut records, &batches, &frames, &mut time_ns);
    }
    let made_before: u64 = pipeline.counters().cache.records.values().sum();
    let allocated = allocation_counter::measure(|| {
        round(&mut pipeline, &mut records, &batches, &frames, &mut time_ns);
    });
    let made = pipeline.counters().cache.records.values().sum::<u64>() - made_before;
    assert!(made > 10_000, "{made} records made");
    assert_eq!(records.lost(), 0);
    assert!(pipeline.counters().translations.learned > 10_000);
    assert!(pipeline.counters().names.evicted > 1000);
    assert!(pipeline.counters().inspected.tls > 10_000);
    assert!(pipeline.counters().inspected.quic > 10_000);
    assert!(pipeline.counters().http.responses > 50_000);
    assert_eq!(allocated.count_total, 0);
}
