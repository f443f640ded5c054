//! Requests of HTTP/2 and gRPC to real servers, counted by the probe and the collector, against the
//! logs of the servers.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

use std::path::Path;
use std::process::{Command, Stdio};

use kipfix_tests::http_metering::{HttpMetering, SERVER};
use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::peers::missing;
use kipfix_tests::peers::{Language, Libraries};
use kipfix_tests::program::{self, Running, is_installed};
use kipfix_tests::{skip, take_turn};
use serde_json::Value;

/// A server of HTTP/2 in clear text that logs method and status of each request.
const NGINX: &str = "
daemon off;
master_process off;
pid FOLDER/nginx.pid;
error_log FOLDER/error.log;
events {}
http {
    log_format requests '$request_method $status';
    access_log FOLDER/requests requests;
    client_body_temp_path FOLDER/body;
    proxy_temp_path FOLDER/proxy;
    fastcgi_temp_path FOLDER/fastcgi;
    uwsgi_temp_path FOLDER/uwsgi;
    scgi_temp_path FOLDER/scgi;
    client_max_body_size 10m;
    server {
        listen 198.51.100.2:8080 http2;
        root FOLDER;
        location /file/ { alias FOLDER/; }
        location /upload/ { proxy_pass http://127.0.0.1:8081; }
        location /moved/ { return 302 /file/; }
        location /no/ { return 204; }
        location /failed/ { return 503; }
    }
    server {
        listen 127.0.0.1:8081;
        access_log off;
        location / { return 201; }
    }
}
";

/// A server of gRPC: the status is in the request. It logs the status of each call.
const GRPC_SERVER: &str = "
import concurrent.futures, grpc, sys, time
log = open(sys.argv[1], 'a')
codes = {code.value[0]: code for code in grpc.StatusCode}
def reply(request, context, answer):
    code = request[0]
    time.sleep(0.01)
    log.write(f'{code}\\n')
    log.flush()
    if code:
        context.abort(codes[code], 'as requested ' + 'x' * code)
    return answer
class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        if details.method == '/shop.Orders/Get':
            return grpc.unary_unary_rpc_method_handler(
                lambda request, context: reply(request, context, b'y' * 30000))
        if details.method == '/shop.Orders/Watch':
            def watch(request, context):
                for number in range(20):
                    yield b'z' * 3000
                reply(request, context, None)
            return grpc.unary_stream_rpc_method_handler(watch)
server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
server.add_generic_rpc_handlers((Handler(),))
server.add_insecure_port('198.51.100.2:8080')
server.start()
server.wait_for_termination()
";

/// A client: calls with each status on several connections, some at the same time, and one of an
/// unknown method.
const GRPC_CLIENT: &str = "
import concurrent.futures, grpc
def status(call):
    try:
        call.result()
        return 0
    except grpc.RpcError as error:
        return error.code().value[0]
for connection in range(3):
    options = [('grpc.use_local_subchannel_pool', 1)]
    with grpc.insecure_channel('198.51.100.2:8080', options) as channel:
        get = channel.unary_unary('/shop.Orders/Get')
        calls = [(code, get.future(bytes([code]) + b'x' * 5000, wait_for_ready=True))
                 for code in list(range(17)) + [0] * 20]
        for code, call in calls:
            assert status(call) == code, code
        watch = channel.unary_stream('/shop.Orders/Watch')
        assert len(list(watch(bytes([0])))) == 20
        unknown = channel.unary_unary('/shop.Orders/None')
        assert status(unknown.future(b'')) == 12
";

/// Starts nginx at the server, which listens to a port and has a file `small`.
fn start_nginx(setting: &HttpMetering, config: &str, port: u16) -> Running {
    let folder = setting.path("").display().to_string();
    std::fs::write(
        setting.path("nginx.conf"),
        config.replace("FOLDER", &folder),
    )
    .unwrap();
    std::fs::write(setting.path("small"), vec![b'x'; 300]).unwrap();
    let mut nginx = setting.server.command("nginx");
    nginx.arg("-c").arg(setting.path("nginx.conf"));
    let running = Running::start(nginx.stdin(Stdio::null()).stderr(Stdio::null()));
    program::wait_for_tcp(running.pid(), port);
    running
}

/// The last words of the lines of a log.
fn logged(path: &Path) -> Vec<u16> {
    let log = std::fs::read_to_string(path).unwrap();
    let words = log.lines().filter_map(|line| line.split(' ').next_back());
    words.map(|word| word.parse().unwrap()).collect()
}

/// Runs a client to its end.
fn run(setting: &HttpMetering, command: &str, arguments: &[&str]) {
    let mut command = setting.client.command(command);
    program::output(command.args(arguments).stdin(Stdio::null()));
}

fn count(statuses: &[u16], wanted: impl Fn(u16) -> bool) -> u64 {
    let found = statuses.iter().filter(|status| wanted(**status));
    found.count().try_into().unwrap()
}

#[test]
fn requests_of_http2_are_counted_as_the_server_logs_them() {
    if missing(&["ip", "nginx", "curl", "nghttp", "h2load"]) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    let setting = HttpMetering::set_up();
    std::fs::write(setting.path("big"), vec![b'x'; 3 << 20]).unwrap();
    // The workers of nginx belong to another user.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(setting.path(""), mode).unwrap();
    let _serving = start_nginx(&setting, NGINX, 8080);
    let (probe, collector) = setting.start();

    let url = |target: &str| format!("http://{SERVER}:8080/{target}");
    // A connection for each of them: curl 7.88 fails to use one again.
    let curl = "curl -s --max-time 20 -o /dev/null --http2-prior-knowledge";
    for target in [
        "file/small?token=secret",
        "file/big",
        "moved/a",
        "no/a",
        "failed/a",
        "none/a",
    ] {
        run(&setting, curl, &[&url(target)]);
    }
    run(&setting, curl, &["-I", &url("file/small")]);
    let upload = setting.path("big").display().to_string();
    run(&setting, curl, &["-T", &upload, &url("upload/a")]);
    // Several streams at the same time, with large field blocks and padding, and many of them.
    let cookie = format!("cookie: {}", "c".repeat(9000));
    run(
        &setting,
        "nghttp -n --no-dep -m 20 --padding=100 -H",
        &[
            &cookie,
            &url("file/small"),
            &url("file/big"),
            &url("none/nghttp"),
        ],
    );
    run(&setting, "h2load -n 2000 -c 7 -m 20", &[&url("file/small")]);

    let written = || logged(&setting.path("requests")).len() >= 2000 + 8 + 3;
    assert!(program::eventually(program::PATIENCE, written));
    let statuses = logged(&setting.path("requests"));
    setting.wait_for_requests(statuses.len());
    for class in 2..=5_u16 {
        let wanted = count(&statuses, |status| status / 100 == class);
        let found = setting.sum(&format!("http_{class}xx_responses_total"), &[]);
        assert_eq!(found, wanted, "{class}xx");
    }
    assert_eq!(setting.sum("http_unanswered_requests_total", &[]), 0);
    let times = setting.sum("http_response_time_seconds_count", &[]);
    assert_eq!(times, u64::try_from(statuses.len()).unwrap());
    assert_eq!(setting.sum("grpc_responses_total", &[]), 0);
    let flows = std::fs::read_to_string(setting.path("flows")).unwrap();
    assert!(!flows.contains("secret"), "{flows}");
    let records = setting.records(statuses.len());
    let is_http2 = |record: &Value| {
        record["httpMessageVersion"] == "HTTP/2" && record["httpStatusCode"].as_u64() >= Some(200)
    };
    assert!(records.iter().all(is_http2), "{records:#?}");
    let small = |record: &Value| record["httpRequestTarget"] == "/file/small";
    assert!(records.iter().any(small));
    assert_eq!(probe.terminate().0, Some(0));
    assert_eq!(collector.terminate().0, Some(0));
}

#[test]
fn an_upgrade_to_http2_is_followed() {
    if missing(&["ip", "nginx", "nghttpx", "nghttp", "curl"]) || netns::missing() {
        return;
    }
    let _turn = take_turn();
    let setting = HttpMetering::set_up();
    let http1 = NGINX.replace("198.51.100.2:8080 http2", "127.0.0.1:8082");
    let _backend = start_nginx(&setting, &http1, 8082);
    let mut nghttpx = setting
        .server
        .command("nghttpx --conf=/dev/null --single-process");
    nghttpx.args([
        "-f",
        &format!("{SERVER},8080;no-tls"),
        "-b",
        "127.0.0.1,8082",
    ]);
    let requests = setting.path("upgrades");
    nghttpx.arg(format!("--accesslog-file={}", requests.display()));
    nghttpx.arg("--accesslog-format=$method $status");
    let serving = Running::start(nghttpx.stdin(Stdio::null()).stderr(Stdio::null()));
    program::wait_for_tcp(serving.pid(), 8080);
    let (probe, collector) = setting.start();
    let url = |target: &str| format!("http://{SERVER}:8080/{target}");
    let curl = "curl -s --max-time 20 -o /dev/null --http2";
    run(&setting, curl, &[&url("file/small")]);
    run(&setting, curl, &[&url("none/a")]);
    run(
        &setting,
        "nghttp -nu",
        &[&url("no/a"), &url("failed/a"), &url("file/small")],
    );
    let written = || requests.exists() && logged(&requests).len() >= 5;
    assert!(program::eventually(program::PATIENCE, written));
    let statuses = logged(&requests);
    setting.wait_for_requests(statuses.len());
    for class in 1..=5_u16 {
        let wanted = count(&statuses, |status| status / 100 == class);
        let found = setting.sum(&format!("http_{class}xx_responses_total"), &[]);
        assert_eq!(found, wanted, "{class}xx");
    }
    assert_eq!(setting.sum("http_response_time_seconds_count", &[]), 5);
    assert_eq!(probe.terminate().0, Some(0));
    assert_eq!(collector.terminate().0, Some(0));
}

#[test]
fn calls_of_grpc_are_counted_by_status_as_the_server_logs_them() {
    if !is_installed("ip") {
        return skip("ip is not installed");
    }
    let Some(libraries) = Libraries::of(Language::Grpc) else {
        return;
    };
    let _turn = take_turn();
    if netns::missing() {
        return;
    }
    let setting = HttpMetering::set_up();
    let python = |namespace: &Namespace, program: &str| -> Command {
        let mut python = namespace.command("python3 -c");
        python.arg(program).env("PYTHONPATH", libraries.modules());
        python.stdin(Stdio::null());
        python
    };
    let mut server = python(&setting.server, GRPC_SERVER);
    let serving = Running::start(server.arg(setting.path("requests")));
    program::wait_for_tcp(serving.pid(), 8080);
    let (probe, collector) = setting.start();
    program::output(&mut python(&setting.client, GRPC_CLIENT));

    // The calls of the unknown method are not in the log.
    let mut statuses = logged(&setting.path("requests"));
    assert_eq!(statuses.len(), 3 * (17 + 20 + 1));
    statuses.extend([12; 3]);
    setting.wait_for_requests(statuses.len());
    for (code, name) in [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
    ]
    .into_iter()
    .chain([
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
    ])
    .chain([
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
    ])
    .chain(["UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"])
    .enumerate()
    {
        let wanted = count(&statuses, |status| usize::from(status) == code);
        let label = format!("grpc_status=\"{name}\"");
        let found = setting.sum("grpc_responses_total", &[&label]);
        assert_eq!(found, wanted, "{name}");
    }
    let all = u64::try_from(statuses.len()).unwrap();
    assert_eq!(setting.sum("grpc_responses_total", &[]), all);
    assert_eq!(setting.sum("http_2xx_responses_total", &[]), all);
    assert_eq!(setting.sum("http_unanswered_requests_total", &[]), 0);
    let records = setting.records(statuses.len());
    let is_call = |record: &Value| {
        let target = record["httpRequestTarget"].as_str().unwrap_or_default();
        target.starts_with("/shop.Orders/") && record["httpMessageVersion"] == "HTTP/2"
    };
    assert!(
        !records.is_empty() && records.iter().all(is_call),
        "{records:#?}"
    );
    assert_eq!(probe.terminate().0, Some(0));
    assert_eq!(collector.terminate().0, Some(0));
}
