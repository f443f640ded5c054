//! Records from the collector to a real Kafka broker, read by kcat.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use flowproto::FlowRecord;
use kipfix_tests::certificates::Certificates;
use kipfix_tests::collector::now;
use kipfix_tests::forwarding::{Forwarding, flows};
use kipfix_tests::peers::kafka::{Kafka, Message, PASSWORD, USER};
use kipfix_tests::program::{PATIENCE, eventually};
use kipfix_tests::take_turn;

/// The records of a message, each after its length.
fn delimited(message: &Message) -> Vec<&[u8]> {
    let mut records = Vec::new();
    let mut rest = &message.value[..];
    while !rest.is_empty() {
        let octets = 1 + rest.iter().position(|octet| *octet < 0x80).unwrap();
        let (varint, after) = rest.split_at(octets);
        let digits = varint.iter().rev();
        let length = digits.fold(0, |length, digit| length << 7 | usize::from(digit & 0x7f));
        let (record, next) = after.split_at(length);
        records.push(record);
        rest = next;
    }
    records
}

/// The records of a message, each a line.
fn lines(message: &Message) -> Vec<serde_json::Value> {
    let lines = message.value.split_inclusive(|octet| *octet == b'\n');
    lines
        .map(|line| serde_json::from_slice(line.strip_suffix(b"\n").unwrap()).unwrap())
        .collect()
}

/// The fields of a record, by protoc.
fn decode(record: &[u8]) -> BTreeMap<String, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
    let mut protoc = Command::new("protoc")
        .args(["--decode", "kipfix.v1.Flow", "-I", folder])
        .arg("kipfix/v1/flow.proto")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    protoc.stdin.take().unwrap().write_all(record).unwrap();
    let output = protoc.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let fields = text.lines().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    });
    fields.collect()
}

/// Flows from ascending ports, then the other directions of all of them.
fn both_directions(count: usize) -> Vec<FlowRecord> {
    let mut records = flows(count);
    for (record, port) in records.iter_mut().zip(10_000..) {
        record.key.source_port = port;
    }
    let reverse: Vec<FlowRecord> = records
        .iter()
        .map(|record| FlowRecord {
            key: record.key.reversed(),
            ..record.clone()
        })
        .collect();
    records.extend(reverse);
    records
}

fn check_names(fields: &BTreeMap<String, String>) {
    assert_eq!(fields["octets"], "1000");
    assert_eq!(fields["packets"], "2");
    assert_eq!(fields["connections"], "1");
    assert_eq!(fields["counted"], "true");
    let side = if fields["destinationTransportPort"] == "80" {
        "source"
    } else {
        "destination"
    };
    assert_eq!(fields[&format!("{side}WorkloadName")], "web");
    assert_eq!(fields[&format!("{side}Zone")], "z1");
}

#[test]
fn a_consumer_reads_every_record_with_its_names() {
    let _turn = take_turn();
    let Some(broker) = Kafka::start(None) else {
        return;
    };
    broker.create("flows", 4, &[]);
    let forwarding = Forwarding::start(&broker.url("flows"), "compression=lz4");
    forwarding.collector.send_all(&both_directions(200), now());
    forwarding.wait_for("sent_total", 400);
    assert_eq!(forwarding.totals(), (400, 0));
    let messages = broker.messages("flows");
    assert_eq!(messages.len(), 400);
    // Both directions of a flow have one key and one partition.
    let keys: BTreeSet<_> = messages.iter().map(|m| (&m.key, m.partition)).collect();
    assert_eq!(keys.len(), 200);
    let partitions: BTreeSet<u32> = messages.iter().map(|m| m.partition).collect();
    assert_eq!(partitions.len(), 4);
    for message in messages.iter().take(20) {
        check_names(&decode(&message.value));
    }
    forwarding.collector.stop();
}

#[test]
fn a_message_has_several_records_of_one_partition_in_order() {
    let _turn = take_turn();
    let Some(broker) = Kafka::start(None) else {
        return;
    };
    for format in ["protobuf", "json"] {
        broker.create(format, 4, &[]);
        // All records are collected for one request.
        let parameters = format!("format={format}&records-per-message=7&linger=2s");
        let forwarding = Forwarding::start(&broker.url(format), &parameters);
        forwarding.collector.send_all(&both_directions(200), now());
        forwarding.wait_for("sent_total", 400);
        assert_eq!(forwarding.totals(), (400, 0));
        let messages = broker.messages(format);
        assert!(messages.iter().all(|message| message.key.is_empty()));
        let mut ports: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
        let mut counts: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for message in &messages {
            let port = |record: serde_json::Value| {
                let port = |name: &str| record[name].as_u64().unwrap();
                port("sourceTransportPort").max(port("destinationTransportPort"))
            };
            let of_message: Vec<u64> = if format == "json" {
                lines(message).into_iter().map(port).collect()
            } else {
                let fields = delimited(message).into_iter().map(decode);
                let port = |fields: BTreeMap<String, String>| {
                    check_names(&fields);
                    let port = |name: &str| fields[name].parse::<u64>().unwrap();
                    port("sourceTransportPort").max(port("destinationTransportPort"))
                };
                fields.map(port).collect()
            };
            counts
                .entry(message.partition)
                .or_default()
                .push(of_message.len());
            ports
                .entry(message.partition)
                .or_default()
                .extend(of_message);
        }
        assert_eq!(ports.len(), 4);
        let distinct: BTreeSet<u64> = ports.values().flatten().copied().collect();
        assert_eq!(distinct.len(), 200);
        for (partition, ports) in ports {
            // Both directions of a flow are in one partition, each in the order of the records.
            let (forward, reverse) = ports.split_at(ports.len() / 2);
            assert_eq!(forward, reverse, "{format}");
            assert!(forward.is_sorted(), "{format}: {forward:?}");
            let (last, full) = counts[&partition].split_last().unwrap();
            assert!(full.iter().all(|count| *count == 7), "{format}: {full:?}");
            assert!((1..=7).contains(last), "{format}: {last}");
        }
        forwarding.collector.stop();
    }
}

#[test]
fn records_that_a_killed_broker_did_not_store_are_delivered_once_when_it_is_back() {
    let _turn = take_turn();
    let Some(mut broker) = Kafka::start(None) else {
        return;
    };
    let start = |topic: &str, parameters: &str| {
        broker.create(topic, 3, &[]);
        Forwarding::start(&broker.url(topic), &format!("linger=0s&{parameters}"))
    };
    let one = start("one", "format=json&compression=gzip");
    let several = start("several", "format=json&records-per-message=9");
    let send = |batches: usize| {
        for _ in 0..batches {
            one.collector.send_all(&flows(100), now());
            several.collector.send_all(&flows(100), now());
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    send(20);
    broker.kill();
    send(20);
    broker.restart();
    send(20);
    for forwarding in [&one, &several] {
        forwarding.wait_for("sent_total", 6000);
        assert_eq!(forwarding.totals(), (6000, 0));
    }
    let messages = broker.messages("one");
    let distinct: BTreeSet<&str> = messages
        .iter()
        .map(|message| message.key.as_str())
        .collect();
    assert_eq!((messages.len(), distinct.len()), (6000, 6000));
    let messages = broker.messages("several");
    assert!(messages.len() < 3000, "{} messages", messages.len());
    let records: Vec<_> = messages.iter().flat_map(lines).collect();
    let ports = records.iter().map(|r| r["sourceTransportPort"].as_u64());
    let distinct: BTreeSet<Option<u64>> = ports.collect();
    assert_eq!((records.len(), distinct.len()), (6000, 6000));
    one.collector.stop();
    several.collector.stop();
}

#[test]
fn records_follow_the_leaders_of_partitions_under_load_and_are_stored_once() {
    let _turn = take_turn();
    let Some(broker) = Kafka::start(None) else {
        return;
    };
    let second = broker.start_second();
    broker.create_replicated("flows", 4);
    let leaders = |of_second: usize| {
        eventually(PATIENCE, || {
            let metadata = broker.metadata();
            let lines = metadata.lines().filter(|line| line.contains("partition "));
            let lines: Vec<&str> = lines.collect();
            let led = lines.iter().filter(|line| line.contains("leader 2,"));
            let in_sync = lines
                .iter()
                .filter(|line| line.contains("isrs: 1,2") || line.contains("isrs: 2,1"));
            lines.len() == 4 && led.count() == of_second && (of_second == 0 || in_sync.count() == 4)
        })
    };
    assert!(leaders(2), "{}", broker.metadata());
    let forwarding = Forwarding::start(&broker.url("flows"), "format=json&linger=0s");
    let sent = std::cell::Cell::new(0);
    let send = |batches: u64| {
        for _ in 0..batches {
            forwarding.collector.send_all(&flows(100), now());
            std::thread::sleep(Duration::from_millis(2));
            sent.set(sent.get() + 100);
        }
    };
    send(20);
    forwarding.wait_for("sent_total", 2000);
    // The leader of two partitions is killed: the other broker becomes their leader.
    drop(second);
    send(20);
    assert!(leaders(0), "{}", broker.metadata());
    send(20);
    forwarding.wait_for("sent_total", 6000);
    // The leaders change while both brokers run.
    let second = broker.start_second();
    std::thread::scope(|scope| {
        let election = scope.spawn(|| broker.elect_preferred());
        while !election.is_finished() {
            send(1);
        }
    });
    assert!(leaders(2), "{}", broker.metadata());
    send(20);
    forwarding.wait_for("sent_total", sent.get());
    assert_eq!(forwarding.totals(), (sent.get(), 0));
    let messages = broker.messages("flows");
    assert_eq!(messages.len() as u64, sent.get());
    // A flow has one of 65,536 ports, one after the other.
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for message in &messages {
        *counts.entry(&message.key).or_default() += 1;
    }
    assert_eq!(counts.len() as u64, sent.get().min(1 << 16));
    let most = counts.values().max().copied().unwrap_or_default();
    assert!(most <= sent.get().div_ceil(1 << 16), "{most} of one key");
    forwarding.collector.stop();
    drop(second);
}

#[test]
fn what_the_queue_has_no_room_for_while_the_broker_is_away_is_counted() {
    let _turn = take_turn();
    let Some(mut broker) = Kafka::start(None) else {
        return;
    };
    let start = |topic: &str, parameters: &str| {
        broker.create(topic, 2, &[]);
        let parameters = format!("format=json&queue=1MiB{parameters}");
        (
            topic.to_owned(),
            Forwarding::start(&broker.url(topic), &parameters),
        )
    };
    let targets = [
        start("one", ""),
        start("several", "&records-per-message=100"),
    ];
    broker.kill();
    for _ in 0..100 {
        for (_, forwarding) in &targets {
            forwarding.collector.send_all(&flows(100), now());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    for (_, forwarding) in &targets {
        forwarding.wait_for_lost("unreachable");
    }
    broker.restart();
    for (topic, forwarding) in targets {
        let is_empty = || {
            let count = |name| forwarding.count(name, &[]);
            count("waiting") == 0 && count("received_total") == 10_000
        };
        assert!(eventually(PATIENCE, is_empty), "{topic}");
        let (sent, lost) = forwarding.totals();
        assert_eq!(sent + lost, 10_000, "{topic}");
        assert!(lost > 0 && sent > 500, "{topic}: {sent} sent, {lost} lost");
        let messages = broker.messages(&topic);
        let stored = match &*topic {
            "one" => messages.len(),
            _ => messages.iter().flat_map(lines).count(),
        };
        assert_eq!(stored as u64, sent, "{topic}");
        forwarding.collector.stop();
    }
}

#[test]
fn what_is_queued_is_delivered_when_the_collector_stops() {
    let _turn = take_turn();
    let Some(broker) = Kafka::start(None) else {
        return;
    };
    broker.create("flows", 2, &[]);
    let forwarding = Forwarding::start(&broker.url("flows"), "linger=1m");
    forwarding.collector.send_all(&flows(100), now());
    forwarding.wait_for("waiting", 100);
    assert_eq!(broker.messages("flows").len(), 0);
    forwarding.collector.stop();
    assert_eq!(broker.messages("flows").len(), 100);
}

#[test]
fn a_topic_that_is_created_later_receives_what_was_queued() {
    let _turn = take_turn();
    let Some(broker) = Kafka::start(None) else {
        return;
    };
    let forwarding = Forwarding::start(&broker.url("later"), "");
    forwarding.collector.send_all(&flows(50), now());
    forwarding.wait_for("waiting", 50);
    broker.create("later", 1, &[]);
    forwarding.wait_for("sent_total", 50);
    assert_eq!(broker.messages("later").len(), 50);
    forwarding.collector.stop();
}

#[test]
fn a_batch_that_is_too_large_for_the_topic_is_split_and_a_record_that_is_too_large_is_counted() {
    let _turn = take_turn();
    let Some(broker) = Kafka::start(None) else {
        return;
    };
    broker.create("small", 1, &["max.message.bytes=2000"]);
    broker.create("tiny", 1, &["max.message.bytes=100"]);
    broker.create("small-messages", 1, &["max.message.bytes=2000"]);
    broker.create("tiny-messages", 1, &["max.message.bytes=100"]);
    for (topic, outcome) in [
        ("small", (500, 0)),
        ("tiny", (0, 500)),
        ("small-messages", (500, 0)),
        ("tiny-messages", (0, 500)),
    ] {
        let has_several = topic.ends_with("-messages");
        let several = has_several.then_some("&records-per-message=100");
        let parameters = format!(
            "compression=none&format=json{}",
            several.unwrap_or_default()
        );
        let forwarding = Forwarding::start(&broker.url(topic), &parameters);
        forwarding.collector.send_all(&flows(500), now());
        let is_done = || {
            let count = |name| forwarding.count(name, &[]);
            count("sent_total") + count("lost_total") == 500
        };
        assert!(eventually(PATIENCE, is_done), "{topic}");
        assert_eq!(forwarding.totals(), outcome, "{topic}");
        if topic.starts_with("tiny") {
            forwarding.wait_for_lost("too_long");
        }
        let messages = broker.messages(topic);
        let stored = if has_several {
            messages.iter().flat_map(lines).count()
        } else {
            messages.len()
        };
        assert_eq!(stored as u64, outcome.0, "{topic}");
        forwarding.collector.stop();
    }
}

#[test]
fn a_broker_with_tls_and_sasl_requires_the_password() {
    let certificates = Certificates::new();
    let keystore = certificates.path("keystore.pem");
    let read = |name: &str| std::fs::read_to_string(certificates.path(name)).unwrap();
    std::fs::write(&keystore, read("server.key") + &read("server.crt")).unwrap();
    let _turn = take_turn();
    let Some(broker) = Kafka::start(Some(&keystore)) else {
        return;
    };
    broker.create("flows", 2, &[]);
    let ca = certificates.path("ca.crt");
    let [right, wrong] = [PASSWORD, "wrong"].map(|password| {
        let path = certificates.path(password);
        std::fs::write(&path, format!("{password}\n")).unwrap();
        path
    });
    let target = format!("kafka://localhost:{}/flows", broker.secure_port);
    let parameters = |mechanism: &str, password: &std::path::Path| {
        format!(
            "tls=true&ca={}&user={USER}&mechanism={mechanism}&password-file={}",
            ca.display(),
            password.display()
        )
    };
    for (count, mechanism) in (1..).zip(["scram-sha-512", "scram-sha-256", "plain"]) {
        let forwarding = Forwarding::start(&target, &parameters(mechanism, &right));
        forwarding.collector.send_all(&flows(10), now());
        forwarding.wait_for("sent_total", 10);
        assert_eq!(broker.messages("flows").len(), 10 * count, "{mechanism}");
        forwarding.collector.stop();
    }
    let forwarding = Forwarding::start(&target, &parameters("scram-sha-512", &wrong));
    forwarding.collector.send_all(&flows(10), now());
    forwarding.wait_for_refused();
    // The collector ends within its time although the records cannot be delivered.
    forwarding.collector.stop();
    assert_eq!(broker.messages("flows").len(), 30);
}
