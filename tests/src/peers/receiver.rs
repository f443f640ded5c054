//! A collector that receives datagrams on a port of 127.0.0.1.

use std::path::Path;
use std::process::Command;

use crate::program::{self, Running, free_udp_port};

/// A running collector, and the folder of its files.
pub struct Receiver {
    running: Running,
    folder: tempfile::TempDir,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Receiver {
    /// Starts the command that `command` returns for a folder and a port.
    pub(super) fn start(command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_udp_port();
        let running = Running::start(&mut command(folder.path(), port));
        program::wait_for_udp(running.pid(), port);
        Self {
            running,
            folder,
            port,
        }
    }

    /// Waits until it has a child process, and both rest.
    pub(super) fn wait_for_child(&self) {
        let has_child = || !program::children(self.running.pid()).is_empty();
        assert!(
            program::eventually(program::PATIENCE, has_child),
            "there is no child process"
        );
        program::wait_for_sleep(self.running.pid());
    }

    /// Sends datagrams to it, no more at a time than its socket buffer holds.
    pub fn receive(&self, datagrams: &[Vec<u8>]) {
        super::feed(self.running.pid(), self.port, datagrams);
    }

    /// Ends it when it has read and processed all datagrams: `ra` stops in the midst of one.
    /// Returns its folder.
    pub(super) fn end(self, end: impl FnOnce(Running, &Path)) -> tempfile::TempDir {
        program::wait_for_udp_read(self.running.pid(), self.port);
        program::wait_for_sleep(self.running.pid());
        end(self.running, self.folder.path());
        self.folder
    }

    /// Interrupts it when it has processed all datagrams. Returns its folder.
    pub(super) fn interrupt(self) -> tempfile::TempDir {
        self.end(|running, _| drop(running.interrupt(program::PATIENCE)))
    }
}
