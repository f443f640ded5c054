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

/// The fields of a message, by protoc.
fn decode(message: &Message) -> BTreeMap<String, String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto");
    let mut protoc = Command::new("protoc")
        .args(["--decode", "kipfix.v1.Flow", "-I", folder])
        .arg("kipfix/v1/flow.proto")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    protoc
        .stdin
        .take()
        .unwrap()
        .write_all(&message.value)
        .unwrap();
    let output = protoc.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let fields = text.lines().map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.trim_matches('"').to_owned())
    });
    fields.collect()
}

#[test]
fn a_consumer_reads_every_record_with_its_names() {
    let _turn = take_turn();
    let Some(broker) = Kafka::start(None) else {
        return;
    };
    broker.create("flows", 4, &[]);
    let forwarding = Forwarding::start(&broker.url("flows"), "compression=lz4");
    let mut records = flows(200);
    let reverse: Vec<FlowRecord> = records
        .iter()
        .map(|record| FlowRecord {
            key: record.key.reversed(),
            ..record.clone()
        })
        .collect();
    records.extend(reverse);
    forwarding.collector.send_all(&records, now());
    forwarding.wait_for("sent_total", 400);
    assert_eq!(forwarding.totals(), (400, 0));
    let messages = broker.messages("flows");
    assert_eq!(messages.len(), 400);
    // Both directions of a flow have one key and one partition.
    let keys: BTreeSet<_> = messages.iter().map(|m| (&m.key, m.partition)).collect();
    assert_eq!(keys.len(), 200);
    let partitions: BTreeSet<u32> = messages.iter().map(|m| m.partition).collect();
    assert_eq!(partitions.len(), 4);
    let decoded: Vec<_> = messages.iter().take(20).map(decode).collect();
    for fields in decoded {
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
    forwarding.collector.stop();
}

#[test]
fn records_that_a_killed_broker_did_not_store_are_delivered_once_when_it_is_back() {
    let _turn = take_turn();
    let Some(mut broker) = Kafka::start(None) else {
        return;
    };
    broker.create("flows", 3, &[]);
    let forwarding = Forwarding::start(
        &broker.url("flows"),
        "format=json&linger=0s&compression=gzip",
    );
    let send = |batches: usize| {
        for _ in 0..batches {
            forwarding.collector.send_all(&flows(100), now());
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    send(20);
    broker.kill();
    send(20);
    broker.restart();
    send(20);
    forwarding.wait_for("sent_total", 6000);
    assert_eq!(forwarding.totals(), (6000, 0));
    let messages = broker.messages("flows");
    let distinct: BTreeSet<&str> = messages
        .iter()
        .map(|message| message.key.as_str())
        .collect();
    assert_eq!((messages.len(), distinct.len()), (6000, 6000));
    forwarding.collector.stop();
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
    broker.create("flows", 2, &[]);
    let forwarding = Forwarding::start(&broker.url("flows"), "format=json&queue=1MiB");
    broker.kill();
    for _ in 0..100 {
        forwarding.collector.send_all(&flows(100), now());
        std::thread::sleep(Duration::from_millis(2));
    }
    forwarding.wait_for_lost("unreachable");
    broker.restart();
    let is_empty = || {
        let count = |name| forwarding.count(name, &[]);
        count("waiting") == 0 && count("received_total") == 10_000
    };
    assert!(eventually(PATIENCE, is_empty));
    let (sent, lost) = forwarding.totals();
    assert_eq!(sent + lost, 10_000);
    assert!(lost > 0 && sent > 500, "{sent} sent, {lost} lost");
    assert_eq!(broker.messages("flows").len() as u64, sent);
    forwarding.collector.stop();
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
    for (topic, outcome) in [("small", (500, 0)), ("tiny", (0, 500))] {
        let forwarding = Forwarding::start(&broker.url(topic), "compression=none&format=json");
        forwarding.collector.send_all(&flows(500), now());
        let is_done = || {
            let count = |name| forwarding.count(name, &[]);
            count("sent_total") + count("lost_total") == 500
        };
        assert!(eventually(PATIENCE, is_done), "{topic}");
        assert_eq!(forwarding.totals(), outcome, "{topic}");
        if topic == "tiny" {
            forwarding.wait_for_lost("too_long");
        }
        assert_eq!(broker.messages(topic).len() as u64, outcome.0);
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
