//! Clients of the API together with ingest: no datagram is dropped because of them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test code"
)]

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flowproto::FlowRecord;
use kipfix_tests::collector::{Collector, flow, now};
use kipfix_tests::scrape::get;

const INVENTORY: &str = "
nodes: [{name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.0.0/16], zone: z1}]
cidrs: [{cidr: 198.51.100.0/24, name: office}]
";
const SECONDS: u64 = 5;
/// Of each second.
const REQUESTS: u64 = 200;
const RECORDS: u64 = 10_000;
const THREADS: u64 = 4;

/// Paths that are asked for in turn. The last one is another one every time, so it is not answered
/// from memory.
fn path(number: u64) -> String {
    match number % 4 {
        0 => "/api/v1/edges".into(),
        1 => "/api/v1/flows?limit=10".into(),
        2 => "/api/v1/status".into(),
        _ => format!(
            "/api/v1/edges?group_by=src.pod,dst.name&limit=50&from=-{}",
            60_000 + number
        ),
    }
}

#[test]
fn requests_and_clients_that_do_not_read_cost_no_datagram() {
    let collector = Collector::with_inventory(INVENTORY, &[]);
    let unread: Vec<TcpStream> = (0..16)
        .map(|number| {
            let mut stream = TcpStream::connect(collector.http()).unwrap();
            let path = match number % 2 {
                0 => "/api/v1/edges?limit=10000",
                _ => "/api/v1/flows?follow=true",
            };
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream
        })
        .collect();
    let is_over = Arc::new(AtomicBool::new(false));
    let (answered, busy) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (is_over, address) = (Arc::clone(&is_over), collector.http());
            let (answered, busy) = (Arc::clone(&answered), Arc::clone(&busy));
            std::thread::spawn(move || {
                let began = Instant::now();
                let pause = Duration::from_secs(1) * u32::try_from(THREADS).unwrap()
                    / u32::try_from(REQUESTS).unwrap();
                for number in 0_u32.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let path = path(u64::from(number) * THREADS + thread);
                    let answer = get(address, &path, "");
                    let count = match answer.get(9..12) {
                        Some(b"200") => &answered,
                        Some(b"429") => &busy,
                        _ => panic!("{path}: {}", String::from_utf8_lossy(&answer)),
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                    let next = pause * (number + 1);
                    std::thread::sleep(next.saturating_sub(began.elapsed()));
                }
            })
        })
        .collect();
    let record = |number: u64| {
        let last = u8::try_from(number % 250).unwrap();
        let other = u8::try_from(number / 250 % 250).unwrap();
        flow(
            &format!("10.1.{other}.{last}"),
            &format!("198.51.100.{last}"),
        )
    };
    let records: Vec<FlowRecord> = (0..RECORDS / 10).map(record).collect();
    let began = Instant::now();
    for tenth in 1..=SECONDS * 10 {
        collector.send_all(&records, now());
        let next = Duration::from_millis(100 * tenth);
        std::thread::sleep(next.saturating_sub(began.elapsed()));
    }
    is_over.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    let sent = RECORDS * SECONDS;
    collector.counts("kipfix_collector_records_total", &[], sent);
    let scrape = collector.scrape();
    assert_eq!(scrape.sum("kipfix_collector_kernel_drops_total", &[]), 0);
    assert_eq!(scrape.sum("kipfix_collector_sequence_lost_total", &[]), 0);
    let (answered, busy) = (
        answered.load(Ordering::Relaxed),
        busy.load(Ordering::Relaxed),
    );
    println!("{answered} requests answered, {busy} refused, {sent} records");
    // On a loaded machine there are fewer requests, but most of them are answered.
    assert!(
        answered >= REQUESTS && busy <= answered / 5,
        "{answered}, {busy}"
    );
    drop(unread);
    collector.stop();
}
