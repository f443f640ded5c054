//! The HTTP ports of both daemons with TLS, read with curl and with `top`.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::process::{Command, Stdio};
use std::time::Duration;

use kipfix_tests::certificates::Certificates;
use kipfix_tests::collector::Collector;
use kipfix_tests::program::{self, Running, eventually, free_tcp_port};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The status of a request, "000" without an answer.
fn status(certificates: &Certificates, url: &str, with_certificate: bool) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--output", "/dev/null"]);
    curl.args(["--write-out", "%{http_code}", "--cacert"]);
    curl.arg(certificates.path("ca.crt"));
    if with_certificate {
        curl.arg("--cert").arg(certificates.path("probe.crt"));
        curl.arg("--key").arg(certificates.path("probe.key"));
    }
    let output = program::ended(curl.arg(url));
    String::from_utf8(output.stdout).unwrap()
}

fn flags(certificates: &Certificates, port: &str, with_client_ca: bool) -> Vec<String> {
    let path = |name: &str| certificates.path(name).display().to_string();
    let mut flags = vec![format!("--{port}-tls-cert"), path("server.crt")];
    flags.extend([format!("--{port}-tls-key"), path("server.key")]);
    if with_client_ca {
        flags.extend([format!("--{port}-client-ca"), path("ca.crt")]);
    }
    flags
}

fn collector(certificates: &Certificates, with_client_ca: bool) -> Collector {
    let mut arguments = vec!["--kubernetes".to_owned(), "off".into()];
    arguments.extend(flags(certificates, "http", with_client_ca));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Collector::start(&arguments)
}

#[test]
fn the_page_the_api_and_metrics_are_served_with_tls() {
    let certificates = Certificates::new();
    let collector = collector(&certificates, false);
    let server = format!("https://localhost:{}", collector.http().port());
    for path in ["/", "/metrics", "/readyz", "/api/v1/status"] {
        let url = format!("{server}{path}");
        assert_eq!(status(&certificates, &url, false), "200", "{path}");
    }
    let plain = format!("http://{}/api/v1/status", collector.http());
    let output = program::output(Command::new("curl").args(["--silent", &plain]));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "this port uses TLS: request https://\n");
    let mut top = program::collector();
    top.args(["top", "--once", "--server", &server, "--ca"]);
    let text = program::text(top.arg(certificates.path("ca.crt")));
    assert!(text.starts_with("workloads, last "), "{text}");
    // Without the CA of the server.
    let mut top = program::collector();
    let output = program::ended(top.args(["top", "--once", "--server", &server]));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("certificate"), "{error}");
    collector.stop();
}

#[test]
fn a_client_without_a_certificate_reads_health_only() {
    let certificates = Certificates::new();
    let collector = collector(&certificates, true);
    let server = format!("https://localhost:{}", collector.http().port());
    for path in ["/", "/assets/app.js", "/metrics", "/api/v1/status"] {
        let url = format!("{server}{path}");
        assert_eq!(status(&certificates, &url, false), "403", "{path}");
        assert_eq!(status(&certificates, &url, true), "200", "{path}");
    }
    for path in ["/livez", "/readyz"] {
        let url = format!("{server}{path}");
        assert_eq!(status(&certificates, &url, false), "200", "{path}");
    }
    let top = |identity: bool| {
        let mut top = program::collector();
        top.args(["top", "--once", "--server", &server, "--ca"]);
        top.arg(certificates.path("ca.crt"));
        if identity {
            top.arg("--cert").arg(certificates.path("probe.crt"));
            top.arg("--key").arg(certificates.path("probe.key"));
        }
        program::ended(&mut top)
    };
    let text = String::from_utf8(top(true).stdout).unwrap();
    assert!(text.starts_with("workloads, last "), "{text}");
    let error = String::from_utf8(top(false).stderr).unwrap();
    assert!(
        error.contains("a client certificate is required"),
        "{error}"
    );
    collector.stop();
}

#[test]
fn the_admin_port_of_a_probe_is_served_with_tls() {
    let certificates = Certificates::new();
    let port = free_tcp_port();
    let mut probe = program::probe();
    probe.args(["--interface", "lo", "--admin"]);
    probe.arg(format!("127.0.0.1:{port}"));
    probe.args(flags(&certificates, "admin", true));
    let running = Running::start(probe.stderr(Stdio::null()));
    let server = format!("https://localhost:{port}");
    let is_ready = || status(&certificates, &format!("{server}/readyz"), false) == "200";
    assert!(eventually(TIMEOUT, is_ready));
    let metrics = format!("{server}/metrics");
    assert_eq!(status(&certificates, &metrics, false), "403");
    assert_eq!(status(&certificates, &metrics, true), "200");
    assert_eq!(running.terminate().0, Some(0));
}

#[test]
fn settings_and_files_that_cannot_be_used_are_named() {
    let certificates = Certificates::new();
    let path = |name: &str| certificates.path(name).display().to_string();
    let (cert, key, other) = (path("server.crt"), path("server.key"), path("probe.key"));
    let failure = |mut command: Command, arguments: &[&str]| {
        let output = program::ended(command.args(arguments));
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let collector = || {
        let mut command = program::collector();
        command.args(["--kubernetes", "off", "--http", "127.0.0.1:0"]);
        command
    };
    for (arguments, reason) in [
        (
            &["--check", "--http-tls-cert", &cert][..],
            ": needs http_tls_key",
        ),
        (
            &["--check", "--http-client-ca", &cert],
            ": needs http_tls_cert and http_tls_key",
        ),
        (
            &["--http-tls-cert", &cert, "--http-tls-key", &other],
            "http_tls: cannot use cert=",
        ),
        (
            &["--http-tls-cert", "/none", "--http-tls-key", &key],
            "http_tls: cannot use cert=/none",
        ),
    ] {
        let text = failure(collector(), arguments);
        assert!(text.contains(reason), "{text}");
    }
    let text = failure(program::probe(), &["--check", "--admin-tls-key", &key]);
    assert!(text.contains(": needs admin_tls_cert"), "{text}");
    let arguments = ["--interface", "lo", "--admin", "127.0.0.1:0"];
    let arguments = [&arguments[..], &["--admin-tls-cert", &cert]].concat();
    let arguments = [&arguments[..], &["--admin-tls-key", &other]].concat();
    let text = failure(program::probe(), &arguments);
    assert!(text.contains("admin_tls: cannot use cert="), "{text}");
}
