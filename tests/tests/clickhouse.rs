//! Records from the collector into ClickHouse's engine, its views, and the queries of
//! `deploy/clickhouse/`.
#![allow(clippy::unwrap_used, reason = "test code")]

use kipfix_tests::collector::{flow, now};
use kipfix_tests::forwarding::{Forwarding, flows};
use kipfix_tests::peers::clickhouse::{ClickHouse, read};
use kipfix_tests::peers::kafka::Kafka;
use kipfix_tests::program::{PATIENCE, eventually};
use kipfix_tests::take_turn;
use serde_json::Value;

/// A server with the tables and views.
fn server(password: Option<&str>) -> Option<ClickHouse> {
    let server = ClickHouse::start(password)?;
    server.run("flows.sql");
    server.run("views.sql");
    server.run("health.sql");
    Some(server)
}

fn number(server: &ClickHouse, statement: &str) -> u64 {
    let rows = server.query(&format!("SELECT toUInt64({statement}) AS value"));
    rows[0]["value"].as_u64().unwrap()
}

#[test]
fn every_record_is_stored_with_its_names_and_the_views_have_the_sums() {
    let _turn = take_turn();
    let Some(server) = server(None) else {
        return;
    };
    for compression in ["lz4", "gzip", "none"] {
        let forwarding = Forwarding::start(
            &server.url("flows"),
            &format!("interval=1s&compression={compression}"),
        );
        let mut records = flows(90);
        records.extend((0..10).map(|_| flow("198.51.100.8", "10.1.1.1")));
        forwarding.collector.send_all(&records, now());
        forwarding.wait_for("sent_total", 100);
        assert_eq!(forwarding.totals(), (100, 0));
        // The sums of the table are those of the metrics.
        let scrape = forwarding.collector.scrape();
        for (column, metric) in [
            ("octets", "kipfix_bytes_total"),
            ("packets", "kipfix_packets_total"),
            ("connections", "kipfix_connections_total"),
        ] {
            for side in ["source", "destination"] {
                let label = match side {
                    "source" => "src_workload=\"web\"",
                    _ => "dst_workload=\"web\"",
                };
                let sum = number(
                    &server,
                    &format!(
                        "(SELECT sum({column}) FROM kipfix.flows WHERE counted AND {side}WorkloadName = 'web')"
                    ),
                );
                assert_eq!(sum, scrape.sum(metric, &[label]), "{column} {side}");
            }
        }
        for view in ["workloads", "zones", "externals", "exporters"] {
            for resolution in ["1m", "1h"] {
                let rows = server.query(&format!(
                    "SELECT sum(octets) AS octets, sum(packets) AS packets, sum(connections) AS connections, \
                     sum(records) AS records FROM kipfix.{view}_{resolution}"
                ));
                let value = |name: &str| rows[0][name].as_u64().unwrap();
                let values = ["octets", "packets", "connections", "records"].map(value);
                assert_eq!(values, [100_000, 200, 100, 100], "{view}_{resolution}");
            }
        }
        forwarding.collector.stop();
        for table in [
            "flows",
            "workloads_1m",
            "workloads_1h",
            "zones_1m",
            "zones_1h",
            "externals_1m",
            "externals_1h",
            "exporters_1m",
            "exporters_1h",
        ] {
            server.query(&format!("TRUNCATE TABLE kipfix.{table}"));
        }
    }
}

#[test]
fn an_insert_whose_answer_is_lost_is_repeated_and_stored_once() {
    let _turn = take_turn();
    let Some(server) = server(None) else {
        return;
    };
    let forwarding = Forwarding::start(&server.url("flows"), "interval=1s");
    for (mode, total) in [("mute", 60), ("refuse", 120)] {
        server.fail(mode, 2);
        forwarding.collector.send_all(&flows(60), now());
        forwarding.wait_for("sent_total", total);
        assert_eq!(number(&server, "(SELECT count() FROM kipfix.flows)"), total);
        let records = "(SELECT sum(records) FROM kipfix.workloads_1m)";
        assert_eq!(number(&server, records), total, "{mode}");
    }
    assert_eq!(forwarding.totals(), (120, 0));
    forwarding.collector.stop();
}

#[test]
fn a_missing_table_and_a_wrong_password_are_reported_until_they_are_corrected() {
    let _turn = take_turn();
    let Some(server) = ClickHouse::start(Some("secret")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "wrong\n").unwrap();
    let parameters = format!(
        "interval=0s&user=kipfix&password-file={}",
        password.display()
    );
    let forwarding = Forwarding::start(&server.url("flows"), &parameters);
    forwarding.collector.send_all(&flows(20), now());
    forwarding.wait_for_refused();
    // The file is read for every request.
    std::fs::write(&password, "secret\n").unwrap();
    server.run("flows.sql");
    forwarding.wait_for("sent_total", 20);
    assert_eq!(number(&server, "(SELECT count() FROM kipfix.flows)"), 20);
    forwarding.collector.stop();

    // It ends within its time although the rows cannot be stored.
    server.query("DROP TABLE kipfix.flows");
    let forwarding = Forwarding::start(&server.url("flows"), &parameters);
    forwarding.collector.send_all(&flows(20), now());
    forwarding.wait_for("waiting", 20);
    forwarding.collector.stop();
}

#[test]
fn an_older_table_is_upgraded() {
    let _turn = take_turn();
    let Some(server) = ClickHouse::start(None) else {
        return;
    };
    server.query("CREATE DATABASE kipfix");
    server.query(
        "CREATE TABLE kipfix.flows (flowEndMilliseconds DateTime64(3, 'UTC'), \
         collectionTimeMilliseconds DateTime64(3, 'UTC'), octets UInt64, note String) \
         ENGINE = MergeTree ORDER BY collectionTimeMilliseconds",
    );
    server.query("INSERT INTO kipfix.flows (octets, note) VALUES (1, 'kept')");
    server.run("upgrade.sql");
    // It does no harm to run it again.
    server.run("upgrade.sql");
    server.run("health.sql");
    server.run("health.sql");
    let forwarding = Forwarding::start(&server.url("flows"), "interval=0s");
    forwarding.collector.send_all(&flows(3), now());
    forwarding.wait_for("sent_total", 3);
    let rows = server.query("SELECT octets, note, sourceZone FROM kipfix.flows ORDER BY octets");
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0]["note"], "kept");
    assert_eq!(rows[3]["sourceZone"], "z1");
    forwarding.collector.stop();
}

#[test]
fn the_ten_questions_have_the_answers_that_the_traffic_has() {
    let _turn = take_turn();
    let Some(server) = server(None) else {
        return;
    };
    let forwarding = Forwarding::start(&server.url("flows"), "interval=0s");
    forwarding.collector.send_all(&flows(50), now());
    forwarding.wait_for("sent_total", 50);
    forwarding.collector.stop();
    // Parameters of the queries: a range around now.
    for (name, value) in [
        ("address", "'::ffff:198.51.100.7'"),
        ("namespace", "'shop'"),
        ("workload", "'web'"),
        ("pod", "'web-1'"),
        ("from", "toString(now('UTC') - 86400)"),
        ("until", "toString(now('UTC') + 3600)"),
    ] {
        let rows = server.query(&format!("SELECT {value} AS value"));
        let value = rows[0]["value"].as_str().unwrap();
        server.query(&format!("SET param_{name} = '{value}'"));
    }
    let expect = |file: &str, rows: usize, values: &[(&str, Value)]| {
        let found = server.run(&format!("queries/{file}.sql"));
        assert_eq!(found.len(), rows, "{file}: {found:?}");
        for (name, value) in values {
            assert_eq!(&found[0][*name], value, "{name} in {file}");
        }
    };
    let octets = ("octets", Value::from(50_000));
    let web = ("sourceWorkloadName", Value::from("web"));
    expect(
        "01-senders-to-an-address",
        1,
        &[web.clone(), octets.clone()],
    );
    expect(
        "02-egress-by-team",
        1,
        &[("team", "shop".into()), octets.clone()],
    );
    expect(
        "03-first-seen-destinations",
        1,
        &[
            ("externalAddress", "::ffff:198.51.100.7".into()),
            octets.clone(),
        ],
    );
    expect("04-top-workload-pairs", 1, &[web.clone(), octets.clone()]);
    // One node: nothing crosses zones.
    expect("05-cross-zone", 0, &[]);
    expect(
        "06-external-by-country",
        1,
        &[("direction", "egress".into()), octets.clone()],
    );
    expect(
        "07-conversations-of-a-pod",
        50,
        &[("direction", "sent".into())],
    );
    expect(
        "08-port-scans",
        1,
        &[("workload", "web".into()), ("ports", 1.into())],
    );
    expect("09-silent-exporters", 1, &[("records", 50.into())]);
    expect(
        "10-growth",
        1,
        &[web, ("current", 50_000.into()), ("previous", 0.into())],
    );
}

#[test]
fn the_table_and_the_view_of_a_topic_store_every_record_once() {
    let _turn = take_turn();
    let Some(broker) = Kafka::start(None) else {
        return;
    };
    let Some(server) = server(None) else {
        return;
    };
    let text = read("kafka.sql");
    let begin = text.find("ENGINE = Kafka").unwrap();
    let end = begin + text[begin..].find(';').unwrap();
    // The engine in the test reads a topic on request, not in the background. So a request moves
    // the rows of the topic to a table that keeps nothing, from which the view takes them.
    server.execute(&format!("{}ENGINE = Null{}", &text[..begin], &text[end..]));
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../proto/kipfix/v1/flow.proto:Flow"
    );
    let (begin_time, mut expected) = (now(), 0);
    for (topic, parameters, table_format) in [
        ("protobuf", "format=protobuf", "ProtobufSingle"),
        (
            "several_protobuf",
            "format=protobuf&records-per-message=9",
            "Protobuf",
        ),
        ("json", "format=json", "JSONEachRow"),
        (
            "several_json",
            "format=json&records-per-message=9",
            "JSONEachRow",
        ),
    ] {
        broker.create(topic, 2, &[]);
        let table = text[..end]
            .replace("kipfix.flows_kafka", &format!("kipfix.{topic}"))
            .replace("kafka:9092", &broker.address())
            .replace("'flows'", &format!("'{topic}'"))
            // A consumer that does not read now would delay the others of its group.
            .replace("'clickhouse'", &format!("'{topic}'"))
            .replace("ProtobufSingle", table_format)
            .replace("flow:Flow", schema);
        // It creates the table, and reports that it does not read it in the background.
        let outcome = server.try_execute(&table);
        if let Err(error) = outcome {
            assert!(error.contains("Shutdown was called"), "{error}");
        }
        let forwarding = Forwarding::start(&broker.url(topic), parameters);
        let mut records = flows(90);
        records.extend((0..10).map(|_| flow("2001:db8::8", "10.1.1.1")));
        forwarding.collector.send_all(&records, now());
        forwarding.wait_for("sent_total", 100);
        expected += 100;
        let counted = "(SELECT count() FROM kipfix.flows)";
        let read_topic = || {
            server.query("SET stream_like_engine_allow_direct_select = 1");
            server.query(&format!(
                "INSERT INTO kipfix.flows_kafka SELECT * FROM kipfix.{topic}"
            ));
        };
        let are_read = eventually(PATIENCE, || {
            read_topic();
            number(&server, counted) >= expected
        });
        assert!(are_read, "{} of {expected}", number(&server, counted));
        // Nothing is left to be read.
        read_topic();
        assert_eq!(number(&server, counted), expected);
        let scrape = forwarding.collector.scrape();
        for (column, metric) in [
            ("octets", "kipfix_bytes_total"),
            ("packets", "kipfix_packets_total"),
            ("connections", "kipfix_connections_total"),
        ] {
            let sum = format!(
                "(SELECT sum({column}) FROM kipfix.flows WHERE counted AND sourceWorkloadName = 'web')"
            );
            let sent = scrape.sum(metric, &["src_workload=\"web\""]);
            assert_eq!(
                number(&server, &sum),
                sent * expected / 100,
                "{column} {topic}"
            );
        }
        for column in ["collectionTimeMilliseconds", "flowEndMilliseconds"] {
            let time = |of: &str| {
                let time = format!("toUnixTimestamp64Milli({of}({column}))");
                number(&server, &format!("(SELECT {time} FROM kipfix.flows)"))
            };
            let (first, last) = (time("min"), time("max"));
            let is_of_test = begin_time <= first && last <= now();
            assert!(is_of_test, "{column} {topic}: {first} to {last}");
        }
        let rows = server.query(
            "SELECT DISTINCT sourceAddress, destinationAddress, sourceZone, destinationZone FROM kipfix.flows ORDER BY sourceZone",
        );
        assert_eq!(rows.len(), 2, "{topic}: {rows:?}");
        assert_eq!(rows[0]["sourceAddress"], "2001:db8::8");
        assert_eq!(rows[0]["destinationZone"], "z1");
        assert_eq!(rows[1]["sourceAddress"], "::ffff:10.1.1.1");
        assert_eq!(rows[1]["sourceZone"], "z1");
        forwarding.collector.stop();
    }
    let records = "(SELECT sum(records) FROM kipfix.workloads_1m)";
    assert_eq!(number(&server, records), expected);
}
