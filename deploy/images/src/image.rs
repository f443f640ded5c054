//! OCI image archives (image-spec 1.1) with one layer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// The number of `CAP_NET_RAW` in `linux/capability.h`.
pub const NET_RAW: u32 = 13;
/// The number of `CAP_NET_ADMIN`.
pub const NET_ADMIN: u32 = 12;

/// File capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCapability {
    /// Numbers in `linux/capability.h`, below 64.
    pub numbers: &'static [u32],
    /// Effective from the start (`+ep`), not only permitted (`+p`).
    pub effective: bool,
}

impl FileCapability {
    /// The extended attribute `security.capability` (`struct vfs_cap_data`, revision 2): magic and
    /// flag, then the halves of permitted and inheritable.
    fn attribute(self) -> Vec<u8> {
        const REVISION_2: u32 = 0x0200_0000;
        let permitted = self
            .numbers
            .iter()
            .fold(0, |all, number| all | 1_u64 << number);
        let [a, b, c, d, e, f, g, h] = permitted.to_le_bytes();
        let mut attribute = Vec::new();
        attribute.extend((REVISION_2 | u32::from(self.effective)).to_le_bytes());
        attribute.extend([a, b, c, d]);
        attribute.extend([0; 4]);
        attribute.extend([e, f, g, h]);
        attribute.extend([0; 4]);
        attribute
    }
}

enum Content {
    Program(Vec<u8>, Option<FileCapability>),
    File(Vec<u8>),
    Link(String),
    Folder(u32),
}

/// The content and configuration of an image.
pub struct Image {
    name: String,
    user: String,
    entrypoint: Vec<String>,
    labels: BTreeMap<String, String>,
    ports: Vec<String>,
    content: BTreeMap<String, Content>,
    compressed: bool,
}

impl Image {
    /// Creates an empty image with the name `REPOSITORY:TAG`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            user: "65532:65532".to_owned(),
            entrypoint: Vec::new(),
            labels: BTreeMap::new(),
            ports: Vec::new(),
            content: BTreeMap::new(),
            compressed: true,
        }
    }

    /// Disables compression: larger, but fast to build.
    #[must_use]
    pub fn uncompressed(mut self) -> Self {
        self.compressed = false;
        self
    }

    /// Sets the user, `UID:GID` [default: 65532:65532].
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// Sets the entry point.
    #[must_use]
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Adds a label, such as `org.opencontainers.image.version`.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Documents a port, such as `4739/udp`.
    #[must_use]
    pub fn port(mut self, port: &str) -> Self {
        self.ports.push(port.to_owned());
        self
    }

    /// Adds an executable at an absolute path.
    #[must_use]
    pub fn program(self, path: &str, octets: Vec<u8>, capability: Option<FileCapability>) -> Self {
        self.with(path, Content::Program(octets, capability))
    }

    /// Adds a file that all users can read.
    #[must_use]
    pub fn file(self, path: &str, octets: Vec<u8>) -> Self {
        self.with(path, Content::File(octets))
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(path, Content::Link(target.to_owned()))
    }

    /// Adds a directory with its permissions.
    #[must_use]
    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.with(path, Content::Folder(mode))
    }

    fn with(mut self, path: &str, content: Content) -> Self {
        let path = path.trim_start_matches('/').to_owned();
        self.content.insert(path, content);
        self
    }

    /// Writes the archive for an `architecture` in the notation of Go (`amd64`, `arm64`).
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, archive: &Path, architecture: &str) -> io::Result<()> {
        let layer = self.layer()?;
        let diff = digest(&layer);
        let (layer, kind) = if self.compressed {
            let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
            compressed.write_all(&layer)?;
            (compressed.finish()?, "layer.v1.tar+gzip")
        } else {
            (layer, "layer.v1.tar")
        };
        let ports: BTreeMap<&str, Value> = self
            .ports
            .iter()
            .map(|port| (port.as_str(), json!({})))
            .collect();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [diff]},
            "history": [{"created_by": "kipfix-images"}],
            "config": {
                "User": self.user,
                "Entrypoint": self.entrypoint,
                "Env": ["PATH=/bin"],
                "WorkingDir": "/",
                "Labels": self.labels,
                "ExposedPorts": ports,
            },
        });
        let config = serde_json::to_vec(&config)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", &config),
            "layers": [descriptor(kind, &layer)],
            "annotations": self.labels,
        });
        let manifest = serde_json::to_vec(&manifest)?;
        let mut entry = descriptor("manifest.v1+json", &manifest);
        if let Some(entry) = entry.as_object_mut() {
            let tag = self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
            entry.insert(
                "annotations".to_owned(),
                json!({
                    "io.containerd.image.name": self.name,
                    "org.opencontainers.image.ref.name": tag,
                }),
            );
            entry.insert(
                "platform".to_owned(),
                json!({"architecture": architecture, "os": "linux"}),
            );
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        });
        let mut tar = Builder::new(std::fs::File::create(archive)?);
        append(
            &mut tar,
            "oci-layout",
            0o644,
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        append(&mut tar, "index.json", 0o644, &serde_json::to_vec(&index)?)?;
        for blob in [&config, &layer, &manifest] {
            let path = format!("blobs/{}", digest(blob).replace(':', "/"));
            append(&mut tar, &path, 0o644, blob)?;
        }
        tar.into_inner()?.sync_all()
    }

    fn layer(&self) -> io::Result<Vec<u8>> {
        let mut tar = Builder::new(Vec::new());
        let mut folders = BTreeSet::new();
        for (path, content) in &self.content {
            for (at, _) in path.match_indices('/') {
                let folder = path.get(..at).unwrap_or_default();
                if !self.content.contains_key(folder) && folders.insert(folder) {
                    entry(&mut tar, folder, EntryType::Directory, 0o755, &[], None)?;
                }
            }
            match content {
                Content::Folder(mode) => {
                    entry(&mut tar, path, EntryType::Directory, *mode, &[], None)?;
                }
                Content::Link(target) => {
                    entry(&mut tar, path, EntryType::Symlink, 0o777, &[], Some(target))?;
                }
                Content::File(octets) => append(&mut tar, path, 0o644, octets)?,
                Content::Program(octets, capability) => {
                    if let Some(capability) = capability {
                        let attribute = capability.attribute();
                        let name = "SCHILY.xattr.security.capability";
                        tar.append_pax_extensions([(name, attribute.as_slice())])?;
                    }
                    append(&mut tar, path, 0o755, octets)?;
                }
            }
        }
        tar.into_inner()
    }
}

fn append<W: Write>(tar: &mut Builder<W>, path: &str, mode: u32, octets: &[u8]) -> io::Result<()> {
    entry(tar, path, EntryType::Regular, mode, octets, None)
}

fn entry<W: Write>(
    tar: &mut Builder<W>,
    path: &str,
    kind: EntryType,
    mode: u32,
    octets: &[u8],
    target: Option<&str>,
) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(u64::try_from(octets.len()).map_err(io::Error::other)?);
    header.set_path(path)?;
    if let Some(target) = target {
        header.set_link_name(target)?;
    }
    header.set_cksum();
    tar.append(&header, octets)
}

fn digest(octets: &[u8]) -> String {
    let hash = Sha256::digest(octets);
    let hex: String = hash.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("sha256:{hex}")
}

fn descriptor(kind: &str, octets: &[u8]) -> Value {
    json!({
        "mediaType": format!("application/vnd.oci.image.{kind}"),
        "digest": digest(octets),
        "size": octets.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permitted_capability_has_the_attribute_of_setcap() {
        let permitted = FileCapability {
            numbers: &[NET_RAW, NET_ADMIN],
            effective: false,
        };
        // getfattr -e hex -n security.capability of a file after setcap
        // cap_net_raw,cap_net_admin+p.
        let hex: String = permitted
            .attribute()
            .iter()
            .map(|o| format!("{o:02x}"))
            .collect();
        assert_eq!(hex, "0000000200300000000000000000000000000000");
    }

    #[test]
    fn the_same_content_gives_the_same_archive() {
        let folder = std::env::temp_dir().join(format!("kipfix-images-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str| {
            let path = folder.join(name);
            Image::new("test:1")
                .program("/bin/a", b"a".to_vec(), None)
                .link("/bin/b", "a")
                .write(&path, "amd64")
                .unwrap();
            std::fs::read(path).unwrap()
        };
        assert_eq!(write("a"), write("b"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
