//! Who may capture, by how the probe comes into the image and what its pod is given. Kubernetes
//! sets no ambient capabilities: what a non-root program gets is what its file has and its pod was
//! given.

use std::fmt::Write as _;
use std::time::Duration;

use kipfix_tests::images::PROBES;
use kipfix_tests::nodes::{Nodes, within};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// It captures.
    Captures,
    /// It starts and logs the missing capability.
    ReportsMissing,
    /// The kernel refuses to start it.
    NotStarted,
}
use Outcome::{Captures, NotStarted, ReportsMissing};

struct Case {
    /// Index in [`PROBES`]: no file capability, effective, permitted.
    image: usize,
    user: u32,
    shell: bool,
    granted: bool,
    escalation: bool,
    outcome: Outcome,
}

const NONE: usize = 0;
const EFFECTIVE: usize = 1;
const PERMITTED: usize = 2;

const fn case(image: usize, user: u32, granted: bool, outcome: Outcome) -> Case {
    Case {
        image,
        user,
        shell: false,
        granted,
        escalation: false,
        outcome,
    }
}

/// The table of SECURITY.md.
const CASES: [Case; 10] = [
    case(NONE, 65532, true, ReportsMissing),
    Case {
        escalation: true,
        ..case(NONE, 65532, true, ReportsMissing)
    },
    case(NONE, 0, true, Captures),
    case(EFFECTIVE, 65532, true, Captures),
    case(EFFECTIVE, 65532, false, NotStarted),
    Case {
        shell: true,
        ..case(EFFECTIVE, 65532, true, ReportsMissing)
    },
    case(PERMITTED, 65532, true, Captures),
    Case {
        escalation: true,
        ..case(PERMITTED, 65532, true, Captures)
    },
    case(PERMITTED, 65532, false, ReportsMissing),
    Case {
        shell: true,
        ..case(PERMITTED, 65532, true, ReportsMissing)
    },
];

fn pod(number: usize, case: &Case) -> String {
    let probe = "/kipfix-probe --interface eth0 --export udp://127.0.0.1:4739";
    let command = if case.shell {
        format!("[/bin/sh, -c, 'exec {probe}']")
    } else {
        format!("[{}]", probe.replace(' ', ", "))
    };
    let (user, image, escalation) = (case.user, PROBES[case.image], case.escalation);
    let add = if case.granted { "NET_RAW" } else { "" };
    format!(
        r#"---
apiVersion: v1
kind: Pod
metadata: {{name: case-{number}, namespace: privileges}}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  containers:
    - name: probe
      image: "{image}"
      imagePullPolicy: Never
      command: {command}
      securityContext:
        runAsUser: {user}
        runAsGroup: {user}
        allowPrivilegeEscalation: {escalation}
        readOnlyRootFilesystem: true
        capabilities: {{drop: [ALL], add: [{add}]}}
        seccompProfile: {{type: RuntimeDefault}}
"#
    )
}

fn outcome(nodes: &Nodes, number: usize) -> Option<Outcome> {
    let name = format!("case-{number}");
    let log = nodes.try_kubectl(&format!("logs --namespace privileges {name}"));
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    if log.contains("the capability CAP_NET_RAW is missing") {
        return Some(ReportsMissing);
    }
    if log.contains("capturing") {
        return Some(Captures);
    }
    // The runtime's last word before the program would have been there.
    log.contains("operation not permitted")
        .then_some(NotStarted)
}

pub fn table(nodes: &Nodes) {
    nodes.apply("{apiVersion: v1, kind: Namespace, metadata: {name: privileges}}");
    let account = || {
        nodes
            .try_kubectl("get serviceaccount default --namespace privileges")
            .status
            .success()
    };
    assert!(within(Duration::from_secs(30), account));
    let mut pods = String::new();
    for (number, case) in CASES.iter().enumerate() {
        write!(pods, "{}", pod(number, case)).unwrap();
    }
    nodes.apply(&pods);
    println!("  image                      user   granted  escalation  through    outcome");
    for (number, case) in CASES.iter().enumerate() {
        let mut seen = None;
        within(Duration::from_secs(60), || {
            seen = outcome(nodes, number);
            seen.is_some()
        });
        println!(
            "  {:<26} {:<6} {:<8} {:<11} {:<10} {seen:?}",
            PROBES[case.image],
            case.user,
            case.granted,
            case.escalation,
            if case.shell { "a shell" } else { "nothing" },
        );
        assert_eq!(seen, Some(case.outcome), "{}", nodes.describe("privileges"));
    }
    nodes.kubectl("delete namespace privileges --wait=false");
}
