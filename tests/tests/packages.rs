//! What is installed on plain hosts: Debian packages, and systemd units with the one right that
//! capturing takes.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kipfix_tests::netns::{self, Namespace};
use kipfix_tests::program::{self, Running, eventually, is_installed};
use kipfix_tests::skip;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn unit(part: &str) -> String {
    let path = repository().join(format!("deploy/systemd/kipfix-{part}.service"));
    std::fs::read_to_string(path).unwrap()
}

/// The value of a unit's setting.
fn value<'a>(unit: &'a str, setting: &str) -> &'a str {
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix(setting)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {setting}"))
}

/// The package of a part, as `make deb` made it.
fn package(part: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(3).unwrap().join("debian");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut packages = files.map(|file| file.path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(&format!("kipfix-{part}_")) && name.ends_with(".deb")
    });
    packages.next()
}

/// This machine's files, with what is written to them kept apart.
struct Overlay(tempfile::TempDir);

impl Overlay {
    /// In a mount namespace of its own, runs a script with these files as its root.
    fn run(&self, script: &str) -> String {
        let folder = self.0.path().display();
        let outer = format!(
            "mount -t tmpfs none {folder} && cd {folder} && mkdir upper work root && \
             mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root && \
             chroot root sh -euc '{script}'"
        );
        let mut unshare = Command::new("unshare");
        program::text(unshare.args(["--mount", "sh", "-euc", &outer]))
    }
}

#[test]
fn a_package_installs_and_removes_the_daemon_its_unit_and_its_settings() {
    let packages = ["probe", "collector"].map(|part| (part, package(part)));
    if packages.iter().any(|(_, package)| package.is_none()) {
        return skip("there are no packages: make deb");
    }
    if !netns::allowed() || !is_installed("dpkg") {
        return skip("not root, or no dpkg");
    }
    for (part, package) in packages {
        let (name, package) = (format!("kipfix-{part}"), package.unwrap());
        let files = tempfile::tempdir().unwrap();
        let inside = files.path().join("package.deb");
        std::fs::copy(package, &inside).unwrap();
        let printed = Overlay(tempfile::tempdir().unwrap()).run(&format!(
            "dpkg --install {} >&2
             {name} --config /etc/kipfix/{part}.yaml --check >&2
             cat /usr/lib/systemd/system/{name}.service || cat /lib/systemd/system/{name}.service
             dpkg --purge {name} >&2
             ! command -v {name} >&2
             ! ls /etc/kipfix/{part}.yaml >&2",
            inside.display()
        ));
        assert_eq!(printed, unit(part), "{name}");
    }
}

#[test]
fn a_unit_has_no_right_but_capturing() {
    let (probe, collector) = (unit("probe"), unit("collector"));
    assert_eq!(value(&probe, "AmbientCapabilities"), "CAP_NET_RAW");
    assert_eq!(value(&probe, "CapabilityBoundingSet"), "CAP_NET_RAW");
    assert!(!collector.contains("AmbientCapabilities"));
    assert_eq!(value(&collector, "CapabilityBoundingSet"), "");
    for unit in [&probe, &collector] {
        for (setting, wanted) in [
            ("DynamicUser", "yes"),
            ("NoNewPrivileges", "yes"),
            ("ProtectSystem", "strict"),
        ] {
            assert_eq!(value(unit, setting), wanted);
        }
    }
    if !is_installed("systemd-analyze") {
        return skip("systemd-analyze is not installed, so the units were only read");
    }
    // It looks for the programs, which are not in /usr/bin here.
    let folder = tempfile::tempdir().unwrap();
    for (part, unit) in [("probe", probe), ("collector", collector)] {
        let name = format!("kipfix-{part}");
        let path = folder.path().join(format!("{name}.service"));
        let binary = program::binary(&name);
        std::fs::write(
            &path,
            unit.replace(&format!("/usr/bin/{name}"), binary.to_str().unwrap()),
        )
        .unwrap();
        let mut verify = Command::new("systemd-analyze");
        let printed = verify
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(&path)
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&printed.stderr).into_owned();
        assert!(!printed.contains(&name), "{printed}");
    }
}

#[test]
fn the_unit_grants_only_the_capabilities_for_capturing() {
    if !netns::allowed() || !is_installed("setpriv") {
        return skip("not root, no network namespaces, or no setpriv");
    }
    let namespace = Namespace::new("unit");
    namespace.run("ip link add wire type veth peer name far");
    namespace.run("ip link set wire up");
    namespace.run("ip link set far up");
    let start = |ambient: &str| {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace.name(), "setpriv"]);
        command.args([
            "--reuid=65532",
            "--regid=65532",
            "--clear-groups",
            "--no-new-privs",
        ]);
        command.args([
            &format!("--inh-caps={ambient}"),
            &format!("--ambient-caps={ambient}"),
        ]);
        command.arg("--bounding-set=-all,+net_raw");
        command.arg(program::binary("kipfix-probe"));
        command.args(["--interface", "wire", "--export", "udp://127.0.0.1:4739"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Running::start(&mut command)
    };
    let probe = start("-all,+net_raw");
    program::wait_for_capture(probe.pid());
    // The socket is there a moment before the right to open it is put away.
    let nothing_in_force = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", probe.pid())).unwrap();
        let in_force = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        in_force.unwrap().trim() == "0000000000000000"
    };
    assert!(
        eventually(program::PATIENCE, nothing_in_force),
        "nothing is in force once it captures"
    );
    probe.terminate();

    let (code, printed) = start("-all").wait(program::PATIENCE);
    assert_eq!(code, Some(1));
    assert!(
        printed.contains("the capability CAP_NET_RAW is missing"),
        "{printed}"
    );
}
