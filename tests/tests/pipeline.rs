//! The whole path, packet to scrape: in = out + losses, added up over every stage.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::io::Write as _;
use std::process::Stdio;

use kipfix_tests::collector::Collector;
use kipfix_tests::program::{self, PATIENCE, Running, free_tcp_port, probe};
use kipfix_tests::scrape::{Scrape, body, get};
use kipfix_tests::{take_turn, traffic};

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [192.0.2.1], podCIDRs: [10.1.1.0/24, 'fd00:0:0:1::/64'], zone: z1, region: r1}
  - {name: node-b, addresses: [192.0.2.2], podCIDRs: [10.1.2.0/24, 'fd00:0:0:2::/64'], zone: z2, region: r1}
pods:
  - {name: web-1, namespace: shop, addresses: [10.1.2.1], node: node-b, workload: {kind: Deployment, name: web}}
  - {name: cart-1, namespace: shop, addresses: [10.1.1.1], node: node-a, workload: {kind: StatefulSet, name: cart}}
";

#[test]
fn in_is_out_plus_losses_from_packet_to_scrape() {
    let _turn = take_turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("traffic.pcap");
    let truth = traffic::write(&path, 3000);

    let admin = free_tcp_port();
    let settings = ["--receive-buffer", "64MiB", "--observer-wait", "1s"];
    let ours = Collector::with_inventory(INVENTORY, &settings);

    // Standard input stays open when all packets are through, so that the probe can be asked.
    let mut command = probe();
    command.args(["--read", "-", "--node-name", "node-a"]);
    command.args(["--admin", &format!("127.0.0.1:{admin}")]);
    command.args([
        "--export",
        &format!("udp://127.0.0.1:{}?rate=50000", ours.port()),
    ]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    command.stdin(reader).stderr(Stdio::null());
    let metering = Running::start(&mut command);
    drop(command);
    writer.write_all(&std::fs::read(&path).unwrap()).unwrap();
    writer.flush().unwrap();

    let probe_at = format!("127.0.0.1:{admin}").parse().unwrap();
    assert!(program::eventually(PATIENCE, || {
        std::net::TcpStream::connect(format!("127.0.0.1:{admin}")).is_ok()
    }));
    // Until all frames are read, and their records are sent, received and counted.
    let (mut p, mut c) = (Scrape::default(), Scrape::default());
    program::eventually(PATIENCE, || {
        (p, c) = (Scrape::of(probe_at), ours.scrape());
        let probe = |name: &str| p.sum(&format!("kipfix_probe_{name}"), &[]);
        let collector = |name: &str| c.sum(&format!("kipfix_collector_{name}"), &[]);
        probe("packets_captured_total") == truth.packets
            && probe("cache_conversations") == 0
            && probe("records_total") == probe("target_records_sent_total")
            && probe("target_records_sent_total") == collector("records_total")
            && probe("target_messages_sent_total") == collector("messages_total")
            && collector("records_pending") == 0
    });
    let probe = |name: &str| p.sum(&format!("kipfix_probe_{name}"), &[]);
    let collector = |name: &str| c.sum(&format!("kipfix_collector_{name}"), &[]);

    // Capture and decode.
    let captured = probe("packets_captured_total");
    assert_eq!(captured, truth.packets);
    assert_eq!(probe("packets_undecodable_total"), truth.not_ip);
    assert_eq!(
        captured,
        probe("packets_metered_total")
            + probe("packets_undecodable_total")
            + probe("packets_own_export_total")
            + probe("packets_duplicate_total")
    );
    // Cache: everything has ended by the last frames' time.
    let in_records = probe("record_packets_total");
    assert_eq!(probe("cache_conversations"), 0);
    assert_eq!(
        in_records,
        probe("packets_metered_total") + probe("packets_corrected_total")
    );
    assert_eq!(
        (in_records, probe("record_bytes_total")),
        truth.flows.totals()
    );
    // Queue and export.
    let made = probe("records_total");
    assert!(made > 1000);
    assert_eq!(
        made,
        probe("queue_records_lost_total") + probe("target_records_received_total")
    );
    assert_eq!(
        probe("target_records_received_total"),
        probe("target_records_sent_total") + probe("target_records_lost_total")
    );
    // Wire.
    assert_eq!(collector("kernel_drops_total"), 0);
    assert_eq!(collector("sequence_lost_total"), 0);
    assert_eq!(collector("unusable_total"), 0);
    assert_eq!(
        probe("target_records_sent_total"),
        collector("records_total")
    );
    assert_eq!(
        probe("target_messages_sent_total"),
        collector("messages_total")
    );
    // Enrichment and dedup.
    assert_eq!(
        collector("records_total") + collector("biflow_reverse_total"),
        collector("records_counted_total")
            + collector("records_not_counted_total")
            + collector("records_unconfirmed")
            + collector("records_pending")
    );
    // Families without a filter hold every octet and packet of the counted records: no pod here
    // talks to one on its own node, so nothing was left out.
    assert_eq!(collector("records_not_counted_total"), 0);
    let octets = probe("record_bytes_total");
    for family in ["kipfix_bytes_total", "kipfix_node_bytes_total"] {
        assert_eq!(c.sum(family, &[]), octets, "{family}");
    }
    assert_eq!(c.sum("kipfix_packets_total", &[]), in_records);
    // All of this traffic crosses zones.
    assert_eq!(
        c.sum("kipfix_zone_bytes_total", &["src_zone=\"z1\""])
            + c.sum("kipfix_zone_bytes_total", &["src_zone=\"z2\""]),
        octets
    );
    assert!(
        c.sum(
            "kipfix_bytes_total",
            &["src_workload=\"cart\"", "class=\"pod_to_pod\""]
        ) > 0
    );

    // The end of the capture: everything goes out, and the sums are those of the truth.
    drop(writer);
    let (code, _) = metering.wait(PATIENCE);
    assert_eq!(code, Some(0));
    let whole = || {
        let scrape = ours.scrape();
        scrape.sum("kipfix_bytes_total", &[]) == truth.flows.totals().1
            && scrape.sum("kipfix_packets_total", &[]) == truth.flows.totals().0
            && scrape.sum("kipfix_connections_total", &[]) == truth.connections
    };
    assert!(program::eventually(PATIENCE, whole), "{:?}", ours.scrape());
    ours.stop();
}

#[test]
fn the_scrape_is_text_or_openmetrics_and_compressed_as_asked() {
    let ours = Collector::start(&["--kubernetes", "off"]);
    let at = ours.http();
    let text = String::from_utf8_lossy(&get(at, "/metrics", "")).into_owned();
    assert!(
        text.to_ascii_lowercase()
            .contains("content-type: text/plain; version=0.0.4"),
        "{text}"
    );
    assert!(!text.contains("# EOF"));
    let open = "Accept: application/openmetrics-text; version=1.0.0\r\n";
    let open = String::from_utf8_lossy(&get(at, "/metrics", open)).into_owned();
    assert!(
        open.to_ascii_lowercase()
            .contains("content-type: application/openmetrics-text")
    );
    assert!(body(&open).ends_with("# EOF\n"));
    let packed = get(at, "/metrics", "Accept-Encoding: gzip\r\n");
    assert!(
        String::from_utf8_lossy(&packed)
            .to_ascii_lowercase()
            .contains("content-encoding: gzip")
    );
    assert!(packed.len() < text.len());
    for path in ["/livez", "/readyz"] {
        assert!(get(at, path, "").starts_with(b"HTTP/1.1 200"), "{path}");
    }
    assert!(get(at, "/nothing", "").starts_with(b"HTTP/1.1 404"));
    if !program::is_installed("promtool") {
        kipfix_tests::skip("promtool is not installed");
        return;
    }
    let mut promtool = std::process::Command::new("promtool");
    let mut child = promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(body(&text).as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{printed}");
}
