//! The content of each image, and its archive.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use kipfix_images::image::{FileCapability, Image, NET_ADMIN, NET_RAW};
use kipfix_images::sbom;

use crate::sources::{metadata, revision};

/// Maximum size of an archive, in octets.
const MAX_OCTETS: u64 = 25 << 20;
const DESCRIPTION: [(&str, &str); 2] = [
    (
        "probe",
        "Meters a node's packets into flow records and exports them as IPFIX",
    ),
    (
        "collector",
        "Collects IPFIX and NetFlow, attributes flows to workloads, serves Prometheus metrics",
    ),
];

/// Builds both images and their SBOMs from static binaries, and prints paths and sizes.
pub(crate) fn make(binaries: &Path, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out)?;
    let version = env!("CARGO_PKG_VERSION");
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => bail!("unsupported architecture {other}: must be x86_64 or aarch64"),
    };
    let metadata = metadata()?;
    let lock = std::fs::read_to_string("Cargo.lock").context("Cargo.lock")?;
    let libpcap = std::fs::read_to_string(binaries.join("../libpcap/VERSION"))
        .context("the version of libpcap")?;
    let revision = revision();
    for (part, description) in DESCRIPTION {
        let name = format!("kipfix-{part}");
        let linked = (part == "probe").then_some(libpcap.trim());
        let sbom = sbom::cyclonedx(&metadata, &lock, &name, linked)?;
        let sbom = serde_json::to_vec_pretty(&sbom)?;
        std::fs::write(out.join(format!("{name}.cdx.json")), &sbom)?;
        let mut image = Image::new(&format!("docker.io/kipfix/{name}:{version}"))
            .entrypoint(&[&format!("/{name}")])
            .file("/usr/share/kipfix/sbom.cdx.json", sbom)
            .file("/usr/share/kipfix/LICENSE", read(Path::new("LICENSE"))?)
            .label("org.opencontainers.image.title", &name)
            .label("org.opencontainers.image.description", description)
            .label("org.opencontainers.image.version", version)
            .label("org.opencontainers.image.licenses", "Apache-2.0");
        if let Some(revision) = &revision {
            image = image.label("org.opencontainers.image.revision", revision);
        }
        image = match part {
            "probe" => image
                .program(
                    "/kipfix-probe",
                    read(&binaries.join("kipfix-probe"))?,
                    // Permitted, not effective: the probe raises them, and without one starts and
                    // logs the missing capability. NET_ADMIN is for --conntrack: the pod has it
                    // only if granted.
                    Some(FileCapability {
                        numbers: &[NET_RAW, NET_ADMIN],
                        effective: false,
                    }),
                )
                .port("9473/tcp"),
            _ => image
                .program(
                    "/kipfix-collector",
                    read(&binaries.join("kipfix-collector"))?,
                    None,
                )
                .program("/kipfix-check", read(&binaries.join("kipfix-check"))?, None)
                .port("4739/udp")
                .port("2055/udp")
                .port("8080/tcp"),
        };
        let archive = out.join(format!("{name}-{version}-{architecture}.tar"));
        image.write(&archive, architecture)?;
        let octets = std::fs::metadata(&archive)?.len();
        ensure!(
            octets <= MAX_OCTETS,
            "{name}: {octets} octets, the maximum is {MAX_OCTETS}"
        );
        writeln!(
            std::io::stdout(),
            "{} {}.{} MB",
            archive.display(),
            octets / 1_000_000,
            octets % 1_000_000 / 100_000
        )?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}
