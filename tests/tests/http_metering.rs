//! HTTP requests of curl to a server, counted by the probe and the collector, against the server's
//! own log.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::process::Stdio;

use kipfix_tests::http_metering::{HttpMetering, SERVER};
use kipfix_tests::netns;
use kipfix_tests::peers::missing;
use kipfix_tests::program::{self, Running};
use kipfix_tests::take_turn;

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

#[test]
fn requests_are_counted_as_the_server_logs_them() {
    if missing(&["ip", "python3", "curl"]) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    let setting = HttpMetering::set_up();
    let path = |name: &str| setting.path(name);
    std::fs::write(path("upload"), vec![b'x'; 2 << 20]).unwrap();
    let mut python = setting.server.command("python3 -c");
    python.args([PROGRAM, SERVER]).arg(path("requests"));
    let serving = Running::start(python.arg(DELAY.to_string()).stdin(Stdio::null()));
    program::wait_for_tcp(serving.pid(), PORT);
    let (probe, collector) = setting.start();

    // Returns the time from each request to the first octet of its response, in total,
    // microseconds.
    let curl = |arguments: &[&str]| -> f64 {
        let mut command = setting.client.command("curl -s --max-time 60 -o /dev/null");
        command.args(["-w", "%{stderr}%{time_pretransfer} %{time_starttransfer}\n"]);
        let output = program::output(command.args(arguments).stdin(Stdio::null()));
        let times = String::from_utf8(output.stderr).unwrap();
        let times = times.lines().map(|line| {
            let (begin, end) = line.split_once(' ').unwrap();
            end.parse::<f64>().unwrap() - begin.parse::<f64>().unwrap()
        });
        times.sum::<f64>() * 1e6
    };
    let url = |target: &str| format!("http://{SERVER}:{PORT}/{target}");
    // All over one connection: curl takes the next address when a response has ended.
    let upload = path("upload").display().to_string();
    let mut took = curl(&[&url("200/orders/[1-5]?token=secret")]);
    took += curl(&["-I", &url("200/head/[1-3]")]);
    took += curl(&[&url("{204,304,404,500}/a"), "-o", "/dev/null"]);
    took += curl(&[&url("200/chunked/[1-4]")]);
    // Longer than a window, with Expect: 100-continue.
    curl(&[
        "-T",
        &upload,
        &url("201/upload"),
        "--next",
        "-s",
        &url("200/b"),
    ]);
    took += curl(&["-X", "DELETE", &url("503/orders/17")]);

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
    setting.wait_for_requests(requests);
    let sum = |name: &str| setting.sum(&format!("http_{name}"), &[]);
    for class in 2..=5_u16 {
        let wanted = count(&|status| status / 100 == class);
        let found = sum(&format!("{class}xx_responses_total"));
        assert_eq!(found, u64::try_from(wanted).unwrap(), "{class}xx");
    }
    assert_eq!(sum("unanswered_requests_total"), 0);
    assert_eq!(
        sum("response_time_seconds_count"),
        u64::try_from(requests).unwrap()
    );
    let flows = std::fs::read_to_string(path("flows")).unwrap();
    assert!(!flows.contains("secret"), "{flows}");
    let records = setting.records(requests);
    // A response takes the delay of the server at least, and no longer than for curl. That of the
    // upload has another begin for curl.
    let others = records
        .iter()
        .filter(|r| r["httpRequestTarget"] != "/{id}/b");
    let (mut samples, mut micros) = (0, 0);
    for record in others {
        let number = |name: &str| record[name].as_u64().unwrap();
        let of_record = number("httpResponseTimeSampleDeltaCount");
        let sum = number("httpResponseTimeSumMicroseconds");
        assert!(sum >= of_record * u64::from(DELAY) * 1000, "{record}");
        (samples, micros) = (samples + of_record, micros + sum);
    }
    assert_eq!(samples, 17);
    // curl and the probe cut off fractions of a microsecond.
    let limit = took + 2.0 * samples as f64;
    assert!(micros as f64 <= limit, "{micros} µs, {took} µs for curl");
    let delete = records.iter().find(|r| r["httpRequestMethod"] == "DELETE");
    let delete = delete.unwrap();
    assert_eq!(delete["httpRequestTarget"], "/{id}/orders/{id}");
    assert_eq!(delete["httpStatusCode"], 503);
    assert_eq!(delete["httpMessageVersion"], "HTTP/1.1");
    assert_eq!(probe.terminate().0, Some(0));
    assert_eq!(collector.terminate().0, Some(0));
}
