//! ipfixcol2, with JSON output.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use super::{Reading, Sequence, Suite};
use crate::flows::Flows;
use crate::program::{self, Running, free_udp_port};

/// A running ipfixcol2.
pub struct Ipfixcol2 {
    running: Running,
    folder: tempfile::TempDir,
    /// Its port on 127.0.0.1.
    pub port: u16,
}

impl Ipfixcol2 {
    /// Starts the one of a suite.
    pub fn of(suite: &Suite) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_udp_port();
        let settings = folder.path().join("settings.xml");
        std::fs::write(&settings, configuration(port)).expect("settings");
        let out = File::create(folder.path().join("out")).expect("a file");
        let mut command = suite.command("ipfixcol2");
        command.args(["-v", "-p"]).arg(suite.plugins("ipfixcol2"));
        command.arg("-e").arg(suite.file("etc/libfds"));
        command.arg("-c").arg(settings);
        let running = Running::start(command.stdout(out).stderr(Stdio::null()));
        program::wait_for_udp(running.pid(), port);
        Self {
            running,
            folder,
            port,
        }
    }

    /// Stops it and returns what it received.
    pub fn finish(self) -> Reading {
        program::wait_for_udp_read(self.running.pid(), self.port);
        self.running.interrupt(Duration::from_secs(20));
        let text = std::fs::read_to_string(self.folder.path().join("out")).expect("its output");
        let records: String = text
            .lines()
            .filter(|line| line.starts_with('{'))
            .map(|line| line.replace("\"iana:", "\"") + "\n")
            .collect();
        let unexpected = text
            .lines()
            .filter(|line| line.contains("Sequence number"))
            .count();
        Reading::of_flows(
            records.lines().count() as u64,
            Flows::of_json_lines(&records),
            Sequence::Failures(unexpected as u64),
        )
    }
}

fn configuration(port: u16) -> String {
    format!(
        "<ipfixcol2>\
         <inputPlugins><input><name>udp</name><plugin>udp</plugin><params>\
         <localPort>{port}</localPort><localIPAddress>127.0.0.1</localIPAddress>\
         </params></input></inputPlugins>\
         <outputPlugins><output><name>json</name><plugin>json</plugin><params>\
         <tcpFlags>raw</tcpFlags><timestamp>unix</timestamp><protocol>raw</protocol>\
         <ignoreUnknown>true</ignoreUnknown><ignoreOptions>true</ignoreOptions>\
         <outputs><print><name>printer</name></print></outputs>\
         </params></output></outputPlugins>\
         </ipfixcol2>"
    )
}
