//! `/api/v1/flows` of a running collector: recent records, and clients that follow.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test code"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use flowproto::FlowRecord;
use kipfix_tests::collector::{Collector, flow, now};
use kipfix_tests::one_pod::{INVENTORY, OFFICE, WEB};
use kipfix_tests::program::eventually;
use kipfix_tests::scrape::get;
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(30);

fn start(arguments: &[&str]) -> Collector {
    Collector::with_inventory(INVENTORY, arguments)
}

/// Status, and the lines of the body.
fn recent(collector: &Collector, query: &str) -> (u16, Vec<Value>) {
    let answer = get(collector.http(), &format!("/api/v1/flows{query}"), "");
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
    let media_type = match status {
        200 => "application/x-ndjson",
        _ => "application/json",
    };
    assert!(
        head.contains(&format!("content-type: {media_type}\r\n")),
        "{head}"
    );
    let lines = body.lines().map(|line| serde_json::from_str(line).unwrap());
    (status, lines.collect())
}

/// Waits until a query returns a number of records.
fn recent_records(collector: &Collector, query: &str, count: usize) -> Vec<Value> {
    let mut records = Vec::new();
    let are_complete = eventually(TIMEOUT, || {
        let (status, lines) = recent(collector, query);
        assert_eq!(status, 200, "{query}: {lines:?}");
        records = lines;
        records.len() == count
    });
    assert!(are_complete, "{query}: {} records", records.len());
    records
}

/// A client that follows.
struct Follower {
    lines: BufReader<TcpStream>,
    status: String,
}

impl Follower {
    fn new(collector: &Collector, parameters: &str) -> Self {
        let mut stream = TcpStream::connect(collector.http()).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        // HTTP/1.0, so that the response is not chunked.
        write!(
            stream,
            "GET /api/v1/flows?follow=true{parameters} HTTP/1.0\r\n\r\n"
        )
        .unwrap();
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let status = head.split(' ').nth(1).unwrap().to_owned();
        Self { lines, status }
    }

    /// The next line. `None` at the end of the response.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let octets = self.lines.read_line(&mut line).unwrap();
        (octets > 0).then(|| serde_json::from_str(&line).unwrap())
    }

    fn next_port(&mut self) -> Option<u64> {
        self.next().map(|record| port(&record))
    }
}

fn port(record: &Value) -> u64 {
    record["sourceTransportPort"].as_u64().unwrap()
}

fn followers(collector: &Collector, count: u64) {
    collector.counts("kipfix_collector_followers", &[], count);
}

/// Sends a record until a follower has been noticed, which takes a batch of datagrams.
fn wait_for(collector: &Collector, follower: &mut Follower, marker: &FlowRecord) {
    let sent = || {
        collector
            .scrape()
            .sum("kipfix_collector_followed_records_sent_total", &[])
    };
    let before = sent();
    let is_noticed = eventually(TIMEOUT, || {
        collector.send(marker);
        sent() > before
    });
    assert!(is_noticed);
    assert_eq!(follower.next_port(), Some(marker.key.source_port.into()));
}

#[test]
fn recent_records_are_lines_of_the_flow_log() {
    let collector = start(&[]);
    let begin = now();
    let sent = [flow(WEB, OFFICE), flow(OFFICE, WEB), flow(WEB, "10.1.1.9")];
    for record in &sent {
        collector.attribute(record);
    }
    let records = recent_records(&collector, "", 3);
    assert_eq!(records, collector.lines());
    let [first, second, third] = sent.map(|record| u64::from(record.key.source_port));
    let ports = |query: &str| -> Vec<u64> {
        let (status, records) = recent(&collector, query);
        assert_eq!(status, 200, "{query}: {records:?}");
        records.iter().map(port).collect()
    };
    assert_eq!(ports("?limit=2"), [second, third]);
    let office = "?filter=external.name%20%3D%3D%20%22office%22";
    assert_eq!(ports(office), [first, second]);
    let from_port =
        format!("?filter=src.port%20%3D%3D%20{third}%20%26%26%20protocol%20%3D%3D%20%22tcp%22");
    assert_eq!(ports(&from_port), [third]);
    assert_eq!(
        ports("?filter=dst.address%20%3D%3D%20%2210.1.1.0%2F24%22"),
        [second, third]
    );
    assert_eq!(ports(&format!("?from={begin}")), [first, second, third]);
    assert_eq!(ports(&format!("?from=1&to={begin}")), [0; 0]);
    assert_eq!(ports("?filter=tcp_end%20%3D%3D%20%22refused%22"), [0; 0]);
    for bad in [
        "tcp_end%20%3D%3D%20%22failed%22",
        "src.label%5B%22a%22%5D%20%3D%3D%20%22b%22",
    ] {
        let (status, error) = recent(&collector, &format!("?filter={bad}"));
        assert_eq!(
            (status, &error[0]["parameter"]),
            (400, &"filter".into()),
            "{bad}"
        );
    }
    assert_eq!(
        collector
            .scrape()
            .sum("kipfix_collector_recent_records", &[]),
        3
    );
    collector.stop();
}

#[test]
fn the_ring_keeps_the_newest_records_within_its_memory() {
    let collector = start(&["--recent-records-size", "256K"]);
    for batch in 0..100 {
        let records: Vec<FlowRecord> = (0..20).map(|_| flow(WEB, OFFICE)).collect();
        collector.send_all(&records, now());
        if batch % 10 == 9 {
            let received = 20 * (batch + 1);
            collector.counts("kipfix_collector_records_total", &[], received);
        }
    }
    let last = flow(WEB, OFFICE);
    collector.attribute(&last);
    let is_kept = || {
        let (_, records) = recent(&collector, "?limit=1");
        port(&records[0]) == u64::from(last.key.source_port)
    };
    // A second later, a full sample may be kept again.
    assert!(eventually(TIMEOUT, || {
        collector.send(&last);
        is_kept()
    }));
    let scrape = collector.scrape();
    let octets = scrape.sum("kipfix_collector_recent_records_bytes", &[]);
    assert!((100 << 10..=256 << 10).contains(&octets), "{octets}");
    collector.stop();
}

#[test]
fn a_client_that_follows_gets_the_records_that_its_filter_selects() {
    let collector = start(&[]);
    let mut all = Follower::new(&collector, "");
    wait_for(&collector, &mut all, &flow(WEB, WEB));
    let mut egress = Follower::new(
        &collector,
        "&limit=2&filter=direction%20%3D%3D%20%22egress%22",
    );
    followers(&collector, 2);
    let sent: Vec<FlowRecord> = (0..5)
        .map(|at| {
            if at % 2 == 0 {
                flow(WEB, OFFICE)
            } else {
                flow(OFFICE, WEB)
            }
        })
        .collect();
    // Noticed with the first batch after it.
    collector.attribute(&flow(OFFICE, OFFICE));
    collector.send_all(&sent, now());
    let ports: Vec<u64> = sent.iter().map(|r| r.key.source_port.into()).collect();
    assert_eq!(egress.next_port(), Some(ports[0]));
    assert_eq!(egress.next_port(), Some(ports[2]));
    // The response ends with its limit.
    assert_eq!(egress.next(), None);
    followers(&collector, 1);
    let mut got: Vec<u64> = Vec::new();
    while got.last() != ports.last() {
        got.push(all.next_port().unwrap());
    }
    assert!(got.ends_with(&ports), "{got:?}");
    drop(all);
    // The collector notices a client that disconnects.
    followers(&collector, 0);
    let scrape = collector.scrape();
    assert_eq!(
        scrape.sum("kipfix_collector_followed_records_lost_total", &[]),
        0
    );
    collector.stop();
}

#[test]
fn a_client_that_does_not_read_loses_records_and_the_others_do_not() {
    const RECORDS: usize = 40_000;
    let collector = start(&["--receive-buffer", "64M"]);
    let mut slow = Follower::new(&collector, "");
    wait_for(&collector, &mut slow, &flow(WEB, WEB));
    let mut fast = Follower::new(&collector, "&filter=dst.name%20%3D%3D%20%22office%22");
    followers(&collector, 2);
    collector.attribute(&flow(WEB, WEB));
    // 8000 records per second at most, below the rate limit, and not before the fast client has
    // read the others.
    let record = flow(WEB, OFFICE);
    for _ in 0..RECORDS / 400 {
        let before = std::time::Instant::now();
        collector.send_all(&vec![record.clone(); 400], now());
        for _ in 0..400 {
            let line = fast.next().unwrap();
            assert!(line.get("lostRecords").is_none(), "{line}");
        }
        std::thread::sleep(Duration::from_millis(50).saturating_sub(before.elapsed()));
    }
    // What the slow client still gets, and what it lost, is everything.
    let last = flow(WEB, WEB);
    let (mut got, mut lost) = (0, 0);
    collector.send(&last);
    loop {
        let line = slow.next().unwrap();
        if let Some(report) = line.get("lostRecords") {
            lost += report["queueFull"].as_u64().unwrap();
            assert_eq!(report["rateLimit"], 0);
            collector.send(&last);
        } else if port(&line) == u64::from(last.key.source_port) {
            break;
        } else {
            got += u64::from(port(&line) == u64::from(record.key.source_port));
        }
    }
    let all = RECORDS as u64;
    assert!(lost > 0);
    // The last record itself may be lost, once.
    assert!((all..=all + 1).contains(&(got + lost)), "{got} + {lost}");
    let scrape = collector.scrape();
    let counted = scrape.sum(
        "kipfix_collector_followed_records_lost_total",
        &["reason=\"queue_full\""],
    );
    assert_eq!(counted, lost);
    assert_eq!(scrape.sum("kipfix_collector_kernel_drops_total", &[]), 0);
    assert_eq!(scrape.sum("kipfix_collector_sequence_lost_total", &[]), 0);
    collector.stop();
}

#[test]
fn a_filter_that_takes_long_does_not_delay_the_decoding() {
    let collector = start(&[]);
    // It matches no address, and takes as long as its limits allow.
    let slow = vec![r#"src.address =~ "(.{0,9}1.{0,9}){0,4}q""#; 16].join(" || ");
    let slow: String = slow.bytes().map(|octet| format!("%{octet:02x}")).collect();
    let mut slow: Vec<Follower> = (0..7)
        .map(|_| Follower::new(&collector, &format!("&filter={slow}")))
        .collect();
    let mut fast = Follower::new(&collector, "&filter=src.name%20%3D%3D%20%22office%22");
    wait_for(&collector, &mut fast, &flow(OFFICE, WEB));
    let others = vec![flow(WEB, WEB); 400];
    let has_no_time = eventually(TIMEOUT, || {
        let marker = flow(OFFICE, WEB);
        collector.send_all(&others, now());
        collector.send(&marker);
        assert_eq!(fast.next_port(), Some(marker.key.source_port.into()));
        let lost = collector.scrape().sum(
            "kipfix_collector_followed_records_lost_total",
            &["reason=\"filter_time\""],
        );
        lost > 0
    });
    assert!(has_no_time);
    let report = slow[0].next().unwrap();
    let lost = report["lostRecords"]["filterTime"].as_u64();
    assert!(lost > Some(0), "{report}");
    collector.stop();
}

#[test]
fn the_number_of_followers_is_limited() {
    let collector = start(&[]);
    let clients: Vec<Follower> = (0..8).map(|_| Follower::new(&collector, "")).collect();
    assert!(clients.iter().all(|client| client.status == "200"));
    assert_eq!(Follower::new(&collector, "").status, "429");
    drop(clients);
    followers(&collector, 0);
    assert_eq!(Follower::new(&collector, "").status, "200");
    // A stream does not delay the end of the collector.
    collector.stop();
}

#[test]
fn a_collector_without_recent_records_reports_that() {
    let collector = start(&["--recent-records-size", "0"]);
    assert_eq!(recent(&collector, "").0, 503);
    assert_eq!(recent(&collector, "?follow=true").0, 503);
    assert_eq!(recent(&collector, "?follow=maybe").0, 400);
    collector.stop();
}
