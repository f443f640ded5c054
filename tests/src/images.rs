//! The images of the cluster tests: those of `make images`, and small ones of static programs.

use std::fs;
use std::path::{Path, PathBuf};

use kipfix_images::image::{FileCapability, Image, NET_RAW};

/// The static busybox of Debian.
pub const BUSYBOX: &str = "/bin/busybox";
/// Image of the traffic generator, with a shell.
pub const TRAFFIC: &str = "localhost/traffic:test";
/// Repository of probe images with a shell: without file capability, with an effective one, and as
/// released. The tag selects the variant.
pub const PROBES: [&str; 3] = [
    "localhost/probe:none",
    "localhost/probe:effective",
    "localhost/probe:permitted",
];

/// The build directory of the workspace.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    // target/<profile>/deps/<test>
    test.ancestors().nth(3).expect("target").to_owned()
}

/// The archive of a released image.
///
/// # Errors
/// If it was not built.
pub fn ours(name: &str) -> Result<PathBuf, String> {
    let folder = target().join("images");
    let files = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = files
        .map(|file| file.path())
        .filter(|path| {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            file.starts_with(&format!("{name}-")) && file.ends_with(".tar")
        })
        .collect();
    found.sort();
    found
        .pop()
        .ok_or_else(|| format!("{name} is not in {}: make images", folder.display()))
}

/// A static binary, as in the images.
///
/// # Errors
/// If it was not built.
pub fn program(name: &str) -> Result<PathBuf, String> {
    let path = target()
        .join(format!(
            "{}-unknown-linux-musl/image",
            std::env::consts::ARCH
        ))
        .join(name);
    path.exists()
        .then_some(path)
        .ok_or_else(|| format!("{name} is not built for images: make images"))
}

/// Builds the small images into a directory. Returns all archives that a node needs.
///
/// # Errors
/// If a program is missing.
pub fn make(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut archives = vec![ours("kipfix-probe")?, ours("kipfix-collector")?];
    let read = |path: &Path| fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let busybox = read(Path::new(BUSYBOX))?;
    let (probe, traffic) = (program("kipfix-probe")?, program("kipfix-traffic")?);
    let (probe, traffic) = (read(&probe)?, read(&traffic)?);
    let with_shell = |name: &str| {
        Image::new(name)
            .program("/bin/busybox", busybox.clone(), None)
            .link("/bin/sh", "busybox")
            .link("/bin/sleep", "busybox")
            .link("/bin/cat", "busybox")
    };
    let pause = Image::new("localhost/pause:test")
        .program("/bin/busybox", busybox.clone(), None)
        .entrypoint(&["/bin/busybox", "sleep", "2147483647"]);
    let mut images = vec![
        ("pause", pause),
        (
            "traffic",
            with_shell(TRAFFIC)
                .program("/kipfix-traffic", traffic, None)
                .entrypoint(&["/kipfix-traffic"]),
        ),
    ];
    let capability = |effective| FileCapability {
        numbers: &[NET_RAW],
        effective,
    };
    let capabilities = [None, Some(capability(true)), Some(capability(false))];
    for (name, capability) in PROBES.iter().zip(capabilities) {
        let image = with_shell(name)
            .program("/kipfix-probe", probe.clone(), capability)
            .entrypoint(&["/kipfix-probe"]);
        let (_, tag) = name.rsplit_once(':').expect("a tag");
        images.push((tag, image));
    }
    for (name, image) in images {
        let archive = folder.join(format!("{name}.tar"));
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            _ => "arm64",
        };
        image
            .uncompressed()
            .write(&archive, architecture)
            .map_err(|e| format!("{}: {e}", archive.display()))?;
        archives.push(archive);
    }
    Ok(archives)
}
