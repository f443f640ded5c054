//! ipfixcol2, with JSON output.

use std::fs::File;
use std::process::Stdio;

use super::{Reading, Receiver, Sequence, Suite};
use crate::flows::Flows;

/// A running ipfixcol2.
pub struct Ipfixcol2 {
    /// Where it receives.
    pub receiver: Receiver,
}

impl Ipfixcol2 {
    /// Starts the one of a suite.
    pub fn of(suite: &Suite) -> Self {
        let receiver = Receiver::start(|folder, port| {
            let settings = folder.join("settings.xml");
            std::fs::write(&settings, configuration(port)).expect("settings");
            let out = File::create(folder.join("out")).expect("a file");
            let mut command = suite.command("ipfixcol2");
            command.args(["-v", "-p"]).arg(suite.plugins("ipfixcol2"));
            command.arg("-e").arg(suite.file("etc/libfds"));
            command.arg("-c").arg(settings);
            command.stdout(out).stderr(Stdio::null());
            command
        });
        Self { receiver }
    }

    /// Stops it and returns what it received.
    pub fn finish(self) -> Reading {
        let folder = self.receiver.interrupt();
        let text = std::fs::read_to_string(folder.path().join("out")).expect("its output");
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
