//! Where the programs of a peer are: installed on the system, or unpacked from Debian unstable.

use std::path::PathBuf;
use std::process::Command;

use crate::program;
use crate::skip;

/// The programs of one suite.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// The folder that `bench/peers.sh` prints. None: the programs in `PATH`.
    folder: Option<PathBuf>,
}

impl Suite {
    /// The programs that are installed on the system.
    pub fn installed() -> Self {
        Self::default()
    }

    /// The programs that `bench/peers.sh` unpacks. Calls [`skip`] and returns `None` if that is not
    /// possible.
    pub fn unstable() -> Option<Self> {
        let folder = program::built_by("../bench/peers.sh");
        let folder = folder.map_err(|reason| skip(&reason)).ok()?;
        Some(Self {
            folder: Some(folder),
        })
    }

    /// A command for a program.
    pub fn command(&self, program: &str) -> Command {
        Command::new(self.path(program))
    }

    /// The path of a program, or its name if it is installed.
    pub fn path(&self, program: &str) -> PathBuf {
        match &self.folder {
            Some(folder) => folder.join("bin").join(program),
            None => program.into(),
        }
    }

    /// A file or folder of an unpacked package, relative to the root of the file system.
    pub fn file(&self, name: &str) -> PathBuf {
        let root = self.folder.as_ref().map(|folder| folder.join("root"));
        root.unwrap_or_else(|| "/".into()).join(name)
    }

    /// The folder of plugins of a program, among the libraries of the machine's architecture.
    ///
    /// # Panics
    /// If there is none.
    pub fn plugins(&self, program: &str) -> PathBuf {
        let libraries = std::fs::read_dir(self.file("usr/lib")).expect("libraries");
        let mut folders = libraries.filter_map(|entry| Some(entry.ok()?.path().join(program)));
        let found = folders.find(|path| path.is_dir());
        found.unwrap_or_else(|| panic!("no plugins of {program}"))
    }

    /// The release of a package: of an installed one, the version that its program prints with a
    /// flag.
    pub fn release(&self, package: &str, program: &str, flag: &str) -> String {
        let Some(folder) = &self.folder else {
            return super::version(program, flag);
        };
        let versions = std::fs::read_to_string(folder.join("versions")).expect("versions");
        let mut lines = versions.lines().map(|line| line.split_once('\t'));
        let version = lines.find_map(|line| line.filter(|(name, _)| *name == package));
        let (_, version) = version.unwrap_or_else(|| panic!("no version of {package}"));
        super::release(version)
    }
}
