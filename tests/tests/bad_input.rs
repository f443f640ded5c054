//! Errors are one sentence with the setting, the value and the allowed values.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kipfix_tests::flows::Flows;
use kipfix_tests::program::{self, Running, collector, free_tcp_port, free_udp_port, probe};
use kipfix_tests::{skip, traffic};

/// Runs a command that must fail with `code` and say all of `words` in one sentence on standard
/// error.
fn refused(mut command: Command, code: i32, words: &[&str]) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {printed}");
    for word in words {
        assert!(
            printed.contains(word),
            "{command:?} does not contain {word:?}: {printed}"
        );
    }
    assert!(!printed.contains("panicked"), "{printed}");
    let sentences = printed
        .lines()
        .filter(|line| line.starts_with("kipfix-") || line.starts_with("error:"));
    assert_eq!(sentences.count(), 1, "{command:?}: {printed}");
}

fn file(folder: &tempfile::TempDir, name: &str, content: &str) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

#[test]
fn the_probe_refuses_bad_settings_with_64() {
    let folder = tempfile::tempdir().unwrap();
    let unknown_key = file(
        &folder,
        "unknown.yaml",
        "idle_timeout: 5s\nidel_timeout: 5s\n",
    );
    let not_yaml = file(&folder, "broken.yaml", "a: [1, 2\n");
    let unknown_key = unknown_key.to_str().unwrap();
    let cases: &[(&[&str], &[&str])] = &[
        (&["--no-such-flag"], &["--no-such-flag"]),
        (
            &["--export", "ftp://host:1"],
            &["export", "ftp://host:1", "udp://"],
        ),
        (&["--export", "udp://host"], &["export", "udp://host"]),
        (&["--export", "udp://host:99999"], &["export", "99999"]),
        (&["--export", "udp://host:4739?mtu=ten"], &["mtu", "ten"]),
        (
            &["--export", "udp://host:4739?version=7"],
            &["version", "7"],
        ),
        (&["--export", "udp://host:4739?colour=red"], &["colour"]),
        (
            &["--idle-timeout", "2m", "--active-timeout", "1m"],
            &["idle", "2m", "active"],
        ),
        (&["--idle-timeout", "5"], &["idle-timeout", "5"]),
        (&["--max-flows", "0"], &["max-flows", "0"]),
        (&["--buffer", "lots"], &["buffer", "lots"]),
        (&["--snaplen", "1"], &["snaplen", "1"]),
        (
            &["--config", unknown_key],
            &["idel_timeout", "idle_timeout"],
        ),
        (&["--config", not_yaml.to_str().unwrap()], &["broken.yaml"]),
        (&["--config", "/no/such/file.yaml"], &["/no/such/file.yaml"]),
        (&["--admin", "nowhere"], &["admin", "nowhere"]),
    ];
    for (arguments, words) in cases {
        refused(with(probe(), arguments), 64, words);
    }
}

#[test]
fn a_probe_that_cannot_start_reports_the_reason_and_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("traffic.pcap");
    traffic::write(&capture, 5);
    let capture = capture.to_str().unwrap();
    let not_a_capture = file(&folder, "text.pcap", "not a capture\n");
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy_address = busy.local_addr().unwrap().to_string();
    refused(
        with(probe(), &["--read", "/no/such.pcap", "--export", "stdout:"]),
        1,
        &["/no/such.pcap"],
    );
    let arguments = [
        "--read",
        not_a_capture.to_str().unwrap(),
        "--export",
        "stdout:",
    ];
    refused(with(probe(), &arguments), 1, &["text.pcap"]);
    let arguments = [
        "--read",
        capture,
        "--export",
        "stdout:",
        "--admin",
        &busy_address,
    ];
    refused(
        with(probe(), &arguments),
        1,
        &["admin", &busy_address, "in use"],
    );
    let arguments = [
        "--read",
        capture,
        "--export",
        "stdout:",
        "--filter",
        "tcp prot 80",
    ];
    refused(with(probe(), &arguments), 64, &["filter", "tcp prot 80"]);
    let admin = format!("127.0.0.1:{}", free_tcp_port());
    let arguments = [
        "--interface",
        "nosuch0",
        "--export",
        "stdout:",
        "--admin",
        &admin,
    ];
    refused(with(probe(), &arguments), 1, &["nosuch0"]);
}

#[test]
fn a_probe_without_the_capability_names_it_and_how_to_grant_it() {
    if !program::is_installed("setpriv") {
        return skip("setpriv is not installed");
    }
    // A copy in a directory that all users can access.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("kipfix-probe");
    std::fs::copy(program::binary("kipfix-probe"), &copy).unwrap();
    program::output(
        Command::new("chmod")
            .arg("755")
            .arg(folder.path())
            .arg(&copy),
    );
    let without_capabilities = |flags: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            "65532",
            "--clear-groups",
            "--bounding-set=-all",
            "--inh-caps=-all",
        ]);
        command.arg(&copy).args([
            "--interface",
            "lo",
            "--export",
            "udp://127.0.0.1:9",
            "--admin",
        ]);
        command.arg(format!("127.0.0.1:{}", free_tcp_port()));
        command.args(flags);
        command
    };
    refused(without_capabilities(&[]), 1, &["CAP_NET_RAW", "setcap"]);
    let parts = ["conntrack", "CAP_NET_ADMIN", "cap_net_raw,cap_net_admin+p"];
    refused(without_capabilities(&["--conntrack"]), 1, &parts);
}

#[test]
fn the_collector_refuses_bad_settings_with_64() {
    let folder = tempfile::tempdir().unwrap();
    let unknown_key = file(&folder, "unknown.yaml", "presets: [nodes]\n");
    let inventory = |name: &str, text: &str| file(&folder, name, text).to_str().unwrap().to_owned();
    let bad_address = inventory(
        "address.yaml",
        "pods: [{name: a, namespace: b, addresses: [10.0.0.300]}]\n",
    );
    let bad_cidr = inventory("cidr.yaml", "cidrs: [{cidr: 10.0.0.0/33, name: x}]\n");
    let bad_key = inventory("key.yaml", "nodes: [{name: a, adresses: [10.0.0.1]}]\n");
    let bad_yaml = inventory("yaml.yaml", "nodes: [{name: a\n");
    let cases: &[(&[&str], &[&str])] = &[
        (&["--listen", "udp://127.0.0.1"], &["listen", "127.0.0.1"]),
        (&["--listen", "sctp://127.0.0.1:4739"], &["listen", "sctp"]),
        (
            &["--preset", "everything"],
            &["preset", "everything", "workloads"],
        ),
        (
            &["--flow-log", "syslog:"],
            &["flow-log", "syslog:", "stdout:"],
        ),
        (&["--workers", "0"], &["workers", "0"]),
        (
            &["--config", unknown_key.to_str().unwrap()],
            &["presets", "preset"],
        ),
        (
            &["--kubernetes", "/no/such/kubeconfig"],
            &["kubernetes", "/no/such/kubeconfig"],
        ),
        (
            &["--inventory", &bad_address],
            &["address.yaml", "10.0.0.300"],
        ),
        (&["--inventory", &bad_cidr], &["cidr.yaml", "10.0.0.0/33"]),
        (
            &["--inventory", &bad_key],
            &["key.yaml", "adresses", "addresses"],
        ),
        (&["--inventory", &bad_yaml], &["yaml.yaml"]),
        (
            &["--inventory", "/no/such/inventory.yaml"],
            &["inventory", "/no/such/inventory.yaml"],
        ),
    ];
    for (arguments, words) in cases {
        refused(with(collector(), arguments), 64, words);
    }
}

#[test]
fn a_collector_that_cannot_start_reports_the_reason_and_exits_with_1() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("udp://{}", udp.local_addr().unwrap());
    let http = tcp.local_addr().unwrap().to_string();
    let free = format!("udp://127.0.0.1:{}", free_udp_port());
    let folder = tempfile::tempdir().unwrap();
    let text = file(&folder, "text.pcap", "no capture\n");
    let off = ["--kubernetes", "off"];
    let free_http = format!("127.0.0.1:{}", free_tcp_port());
    let arguments = ["--listen", &listen, "--http", &free_http];
    refused(
        with(with(collector(), &off), &arguments),
        1,
        &["listen", &listen, "in use"],
    );
    let arguments = ["--listen", &free, "--http", &http];
    refused(
        with(with(collector(), &off), &arguments),
        1,
        &["http", &http, "in use"],
    );
    refused(
        with(with(collector(), &off), &["--read", "/no/such.pcap"]),
        1,
        &["/no/such.pcap"],
    );
    refused(
        with(with(collector(), &off), &["--read", text.to_str().unwrap()]),
        1,
        &["text.pcap"],
    );
}

#[test]
fn a_closed_pipe_does_not_panic_either_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("traffic.pcap");
    traffic::write(&capture, 2000);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = probe();
    command
        .arg("--read")
        .arg(&capture)
        .args(["--export", "stdout:"])
        .stdout(writer);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!printed.contains("panicked"), "{printed}");
    assert!(output.status.code().is_some(), "ended by a signal");
    let complaints = printed
        .lines()
        .filter(|l| l.to_lowercase().contains("broken pipe") || l.contains("stdout"));
    assert_eq!(
        complaints
            .filter(|l| l.contains("WARN") || l.contains("ERROR"))
            .count(),
        1,
        "{printed}"
    );
}

#[test]
fn a_full_disk_under_the_flow_log_is_logged_once_and_counted() {
    if !std::path::Path::new("/dev/full").exists() {
        return skip("there is no /dev/full");
    }
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("traffic.pcap");
    let truth = traffic::write(&capture, 2000);
    let (port, http) = (free_udp_port(), free_tcp_port());
    let ours = Running::start(
        collector()
            .args([
                "--listen",
                &format!("udp://127.0.0.1:{port}"),
                "--kubernetes",
                "off",
            ])
            .args([
                "--http",
                &format!("127.0.0.1:{http}"),
                "--flow-log",
                "file:/dev/full",
            ])
            .stderr(Stdio::piped()),
    );
    program::wait_for_udp(ours.pid(), port);
    let target = format!("udp://127.0.0.1:{port}?rate=20000");
    program::output(
        probe()
            .arg("--read")
            .arg(&capture)
            .args(["--export", &target]),
    );
    let at = format!("127.0.0.1:{http}").parse().unwrap();
    let counted = || {
        let scrape = kipfix_tests::scrape::Scrape::of(at);
        // Collecting goes on, and what was not written is counted.
        scrape.sum("kipfix_bytes_total", &[]) == truth.flows.totals().1
            && scrape.sum("kipfix_collector_flow_log_dropped_total", &["write_failed"]) > 0
    };
    assert!(program::eventually(program::PATIENCE, counted));
    let (code, printed) = ours.terminate();
    assert_eq!(code, Some(0));
    assert!(!printed.contains("panicked"), "{printed}");
    let complaints = printed
        .lines()
        .filter(|line| line.contains("WARN") || line.contains("ERROR"));
    assert_eq!(
        complaints.filter(|line| line.contains("flow log")).count(),
        1,
        "{printed}"
    );
}

#[test]
fn the_records_of_a_truncated_capture_are_exported_and_the_exit_code_is_1() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("traffic.pcap");
    traffic::write(&capture, 500);
    let whole = std::fs::read(&capture).unwrap();
    std::fs::write(&capture, &whole[..whole.len() / 2 + 7]).unwrap();
    let output = probe()
        .arg("--read")
        .arg(&capture)
        .args(["--export", "stdout:"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(Flows::of_json_lines(&text).totals().0 > 1000);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("truncated"), "{message}");
}

#[test]
fn a_target_that_gets_nothing_of_a_savefile_is_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("traffic.pcap");
    traffic::write(&capture, 5);
    let url = format!("tcp://127.0.0.1:{}", free_tcp_port());
    let mut command = probe();
    command.arg("--read").arg(&capture);
    command.args(["--export", "stdout:", "--export", &url]);
    let output = command.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    // The other target has all records.
    let text = String::from_utf8(output.stdout).unwrap();
    let records = text.lines().filter(|line| line.contains("octetDeltaCount"));
    let reason = format!("export {url}: all {} records were lost", records.count());
    assert!(message.contains(&reason), "{message}");
}

#[test]
fn the_effective_settings_are_a_settings_file_again() {
    let folder = tempfile::tempdir().unwrap();
    for make in [probe, collector] {
        let printed = program::text(make().arg("--check"));
        let path = file(&folder, "effective.yaml", &printed);
        let again = program::text(make().arg("--check").arg("--config").arg(path));
        assert_eq!(printed, again);
        assert!(printed.contains(": "), "{printed}");
    }
    let mut command = probe();
    command
        .args(["--check", "--idle-timeout", "7s"])
        .env("KIPFIX_PROBE__IDLE_TIMEOUT", "9s");
    command.env("KIPFIX_PROBE__MAX_FLOWS", "777");
    let printed = program::text(&mut command);
    assert!(
        printed.contains("7s") && printed.contains("777"),
        "{printed}"
    );
}

#[test]
fn help_shows_every_setting_with_its_default() {
    for make in [probe, collector] {
        let help = program::text(make().arg("--help"));
        let printed = program::text(make().arg("--check"));
        for key in printed
            .lines()
            .filter_map(|line| line.split_once(':').map(|(key, _)| key))
        {
            let flag = format!("--{}", key.replace('_', "-"));
            let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_') && !key.is_empty();
            // Lists of objects are only in files: --help names their key.
            let file_key = format!("key {key} of the --config file");
            let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                !is_key || help.contains(&flag) || help.contains(&file_key),
                "--help does not show {flag}"
            );
        }
        assert!(help.contains("[default:"), "{help}");
        assert!(help.contains("Examples:"), "{help}");
    }
}
