//! HTTP requests of curl to a server, counted by the probe and the collector, against the server's own
//! log.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::process::Stdio;
use std::time::Duration;

use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers::missing;
use kipfix_tests::program::{self, Running};
use kipfix_tests::scrape::Scrape;
use kipfix_tests::take_turn;
use serde_json::Value;

const SERVER: &str = "198.51.100.2";
const PORT: u16 = 8080;
/// The time that the server takes for each request, milliseconds.
const DELAY: u32 = 20;

/// A server of HTTP/1.1. The status is in the path; it logs method and status of each request.
const PROGRAM: &str = "
import http.server, sys, time
log = open(sys.argv[2], 'a')
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self):
        length = int(self.headers.get('Content-Length', 0))
        self.rfile.read(length)
        time.sleep(int(sys.argv[3]) / 1000)
        status = int(self.path.split('?')[0].split('/')[1])
        log.write(f'{self.command} {status}\\n')
        log.flush()
        self.send_response(status)
        body = b'HTTP/1.1 500 no\\r\\n\\r\\n' * 20000
        if status in (204, 304):
            self.end_headers()
        elif 'chunked' in self.path:
            self.send_header('Transfer-Encoding', 'chunked')
            self.end_headers()
            for size in (1, 100, 4000, 19 * 1000):
                self.wfile.write(b'%x\\r\\n%s\\r\\n' % (size, body[:size]))
                self.wfile.flush()
                time.sleep(0.003)
            self.wfile.write(b'0\\r\\n\\r\\n')
        else:
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            if self.command != 'HEAD':
                self.wfile.write(body)
    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((sys.argv[1], 8080), Handler).serve_forever()
";

const INVENTORY: &str = "
nodes:
  - {name: node-a, addresses: [198.51.100.3]}
  - {name: node-b, addresses: [198.51.100.4]}
pods:
  - {name: client-1, namespace: shop, addresses: [198.51.100.1], node: node-a, workload: {kind: Deployment, name: client}}
  - {name: server-1, namespace: shop, addresses: [198.51.100.2], node: node-b, workload: {kind: Deployment, name: server}}
";

#[test]
fn requests_are_counted_as_the_server_logs_them() {
    let test = "requests_are_counted_as_the_server_logs_them";
    let programs = ["ip", "python3", "curl"];
    if missing(test, &programs) {
        return;
    }
    let _turn = take_turn();
    if netns::missing(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("inventory.yaml"), INVENTORY).unwrap();
    std::fs::write(path("upload"), vec![b'x'; 2 << 20]).unwrap();
    std::fs::write(path("requests"), "").unwrap();
    let (client, server) = (Namespace::new("client"), Namespace::new("server"));
    netns::link((&client, "eth0"), (&server, "eth0"));
    for (namespace, address) in [(&client, "198.51.100.1"), (&server, SERVER)] {
        let name = namespace.name();
        netns::run(&format!("ip -n {name} addr add {address}/24 dev eth0"));
    }
    let mut python = server.command("python3 -c");
    python.args([PROGRAM, SERVER]).arg(path("requests"));
    let serving = Running::start(python.arg(DELAY.to_string()).stdin(Stdio::null()));
    program::wait_for_tcp(serving.pid(), PORT);
    let mut collecting = client.ours("kipfix-collector");
    program::show_series_at_once(&mut collecting);
    collecting
        .args(["--listen", "udp://127.0.0.1:4739", "--kubernetes", "off"])
        .args(["--http", "127.0.0.1:8080", "--preset", "http"])
        .args(["--flow-log", &format!("file:{}", path("flows").display())])
        .arg("--inventory")
        .arg(path("inventory.yaml"));
    let collector = Running::start(collecting.stderr(Stdio::null()));
    program::wait_for_udp(collector.pid(), 4739);
    let probe = Running::start(
        client
            .ours("kipfix-probe")
            .args(["--interface", "eth0", "--node-name", "node-a"])
            .args(["--idle-timeout", "1s", "--export", "udp://127.0.0.1:4739"])
            .arg("--http-metering")
            .stderr(Stdio::null()),
    );
    let captures = || {
        let sockets = client.run("cat /proc/net/packet");
        sockets.lines().count() >= 5
    };
    assert!(program::eventually(Duration::from_secs(10), captures));

    let curl = |arguments: &[&str]| {
        let mut command = client.command("curl -s --max-time 20 -o /dev/null");
        program::output(command.args(arguments).stdin(Stdio::null()));
    };
    let url = |target: &str| format!("http://{SERVER}:{PORT}/{target}");
    // All over one connection: curl takes the next address when a response has ended.
    let upload = path("upload").display().to_string();
    curl(&[&url("200/orders/[1-5]?token=secret")]);
    curl(&["-I", &url("200/head/[1-3]")]);
    curl(&[&url("{204,304,404,500}/a"), "-o", "/dev/null"]);
    curl(&[&url("200/chunked/[1-4]")]);
    // Longer than a window, with Expect: 100-continue.
    curl(&[
        "-T",
        &upload,
        &url("201/upload"),
        "--next",
        "-s",
        &url("200/b"),
    ]);
    curl(&["-X", "DELETE", &url("503/orders/17")]);

    let logged = || std::fs::read_to_string(path("requests")).unwrap();
    let count = |wanted: &dyn Fn(u16) -> bool| {
        let statuses = logged();
        let statuses = statuses.lines().filter_map(|line| line.split(' ').nth(1));
        statuses
            .filter(|status| wanted(status.parse().unwrap()))
            .count()
    };
    let requests = count(&|_| true);
    assert_eq!(requests, 19, "{}", logged());
    let scrape = |port: u16| {
        let address = format!("127.0.0.1:{port}").parse().unwrap();
        Scrape::in_namespace(client.name(), address)
    };
    let labels = [r#"src_workload="client""#, r#"dst_workload="server""#];
    let sum = |name: &str| scrape(8080).sum(&format!("kipfix_http_{name}"), &labels);
    let is_counted = || sum("requests_total") >= u64::try_from(requests).unwrap();
    let is_counted = program::eventually(Duration::from_secs(15), is_counted);
    let counts = scrape(9473);
    let unread = counts.sum("kipfix_probe_metered_http_unread_total", &[]);
    assert!(
        is_counted,
        "{} of {requests}, unread {unread}",
        sum("requests_total")
    );
    assert_eq!(unread, 0);
    for class in 2..=5_u16 {
        let wanted = count(&|status| status / 100 == class);
        let found = sum(&format!("{class}xx_responses_total"));
        assert_eq!(found, u64::try_from(wanted).unwrap(), "{class}xx");
    }
    assert_eq!(sum("requests_total"), u64::try_from(requests).unwrap());
    assert_eq!(sum("unanswered_requests_total"), 0);
    assert_eq!(
        sum("response_time_seconds_count"),
        u64::try_from(requests).unwrap()
    );
    let flows = std::fs::read_to_string(path("flows")).unwrap();
    assert!(!flows.contains("secret"), "{flows}");
    let records = flows
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let records: Vec<Value> = records
        .filter(|record| record["httpRequestDeltaCount"].as_u64() > Some(0))
        .collect();
    // A response takes the delay of the server, and little more. That of the upload takes longer.
    let mut others = records
        .iter()
        .filter(|r| r["httpRequestTarget"] != "/{id}/b");
    let delay = u64::from(DELAY) * 1000;
    let is_as_slow = |record: &Value| {
        let samples = record["httpResponseTimeSampleDeltaCount"].as_u64().unwrap();
        let sum = record["httpResponseTimeSumMicroseconds"].as_u64().unwrap();
        (delay * samples..(delay + 15_000) * samples).contains(&sum)
    };
    assert!(others.all(is_as_slow), "{records:#?}");
    let delete = records.iter().find(|r| r["httpRequestMethod"] == "DELETE");
    let delete = delete.unwrap();
    assert_eq!(delete["httpRequestTarget"], "/{id}/orders/{id}");
    assert_eq!(delete["httpStatusCode"], 503);
    assert_eq!(delete["httpMessageVersion"], "HTTP/1.1");
    assert_eq!(probe.terminate().0, Some(0));
    assert_eq!(collector.terminate().0, Some(0));
}
