//! Kafka brokers (KRaft mode, one or two nodes), with kcat as their consumer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::missing;
use crate::program::{self, Running, free_tcp_port};
use crate::skip;

/// A message of a topic.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its partition.
    pub partition: u32,
    /// Its key, in hexadecimal digits; empty if it has none.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// A broker. Stopped when dropped.
pub struct Kafka {
    libs: PathBuf,
    folder: tempfile::TempDir,
    running: Option<Running>,
    /// Its port on 127.0.0.1 for clients without TLS.
    port: u16,
    /// Its port for clients with TLS and SASL.
    pub secure_port: u16,
    /// Its port for other brokers of the cluster.
    controller: u16,
}

/// A second broker of a cluster. Killed by SIGKILL when dropped.
pub struct SecondBroker {
    _running: Running,
}

/// The id of the cluster.
const CLUSTER: &str = "MkU3OEVBNTcwNTJENDM2Qg";
/// A broker that does not answer loses its partitions after this time.
const TIMEOUTS: &str = "broker.session.timeout.ms=3000\nbroker.heartbeat.interval.ms=500\n";

/// The user of the port with SASL.
pub const USER: &str = "kipfix";
/// The password of the user.
pub const PASSWORD: &str = "correct horse";

impl Kafka {
    /// Starts a broker. Calls [`skip`] and returns `None` if that is not possible. With `keystore`,
    /// a PEM file of a key and a certificate, it also has a port with TLS and SASL.
    pub fn start(keystore: Option<&Path>) -> Option<Self> {
        if missing(&["java", "kcat", "protoc"]) {
            return None;
        }
        let libs = program::built_by("kafka_broker.sh");
        let libs = libs.map_err(|reason| skip(&reason)).ok()?;
        let mut broker = Self {
            libs,
            folder: tempfile::tempdir().expect("a folder"),
            running: None,
            port: free_tcp_port(),
            secure_port: free_tcp_port(),
            controller: free_tcp_port(),
        };
        broker.configure(keystore);
        let settings = broker.settings();
        let settings = settings.to_str().expect("text");
        let user = |hash: u32| format!("SCRAM-SHA-{hash}=[name={USER},password={PASSWORD}]");
        let mut format = broker.java("kafka.tools.StorageTool");
        format.args(["format", "-t", CLUSTER, "-c", settings]);
        format.args(["--add-scram", &user(256), "--add-scram", &user(512)]);
        program::output(&mut format);
        broker.restart();
        Some(broker)
    }

    /// Its address and port for clients without TLS.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of a topic for clients without TLS.
    pub fn url(&self, topic: &str) -> String {
        format!("kafka://{}/{topic}", self.address())
    }

    fn settings(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    fn configure(&self, keystore: Option<&Path>) {
        let (port, secure, controller) = (self.port, self.secure_port, self.controller);
        let data = self.folder.path().join("data");
        let mut lines = format!(
            "process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},SECURE://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECURE://localhost:{secure}\n\
             controller.listener.names=CONTROLLER\n\
             sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN\n\
             listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \
             required user_{USER}=\"{PASSWORD}\";\n\
             listener.name.secure.scram-sha-256.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.secure.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             log.dirs={}\n\
             auto.create.topics.enable=false\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             {TIMEOUTS}",
            data.display(),
        );
        let protocol = if let Some(keystore) = keystore {
            lines += &format!(
                "ssl.keystore.type=PEM\nssl.keystore.location={}\n",
                keystore.display()
            );
            "SASL_SSL"
        } else {
            "SASL_PLAINTEXT"
        };
        lines += &format!(
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:{protocol}\n"
        );
        std::fs::write(self.settings(), lines).expect("the settings can be written");
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args([
            "-Xmx384m",
            "-cp",
            &format!("{}/*", self.libs.display()),
            class,
        ]);
        command
    }

    /// Starts the broker again after [`kill`](Self::kill), and waits until it accepts clients.
    pub fn restart(&mut self) {
        let mut command = self.java("kafka.Kafka");
        command.arg(self.settings());
        self.running = Some(Running::start(
            command.stdout(Stdio::null()).stderr(Stdio::null()),
        ));
        let is_ready = || {
            let mut list = self.kcat();
            let output = list.args(["-L", "-m", "2"]).output().expect("kcat runs");
            output.status.success()
        };
        let ready = program::eventually(program::PATIENCE, is_ready);
        assert!(ready, "the broker is not ready");
    }

    /// Starts a second broker of the cluster, or starts it again with its data, and waits until it
    /// is known.
    pub fn start_second(&self) -> SecondBroker {
        let (port, controller) = (free_tcp_port(), self.controller);
        let settings = self.folder.path().join("second.properties");
        let data = self.folder.path().join("second");
        let lines = format!(
            "process.roles=broker\n\
             node.id=2\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             log.dirs={}\n\
             {TIMEOUTS}",
            data.display()
        );
        std::fs::write(&settings, lines).expect("the settings can be written");
        if !data.exists() {
            let mut format = self.java("kafka.tools.StorageTool");
            format.args(["format", "-t", CLUSTER, "-c"]).arg(&settings);
            program::output(&mut format);
        }
        let mut command = self.java("kafka.Kafka");
        command.arg(settings);
        let running = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let is_known = || self.metadata().contains(" 2 brokers:");
        let ready = program::eventually(program::PATIENCE, is_known);
        assert!(ready, "the second broker is not ready");
        SecondBroker { _running: running }
    }

    /// Brokers, topics and leaders, by kcat.
    pub fn metadata(&self) -> String {
        let mut list = self.kcat();
        let output = list.args(["-L", "-m", "2"]).output().expect("kcat runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Moves each partition to the first of its replicas.
    pub fn elect_preferred(&self) {
        let mut command = self.java("org.apache.kafka.tools.LeaderElectionCommand");
        command.args(["--bootstrap-server", &self.address()]);
        command.args(["--election-type", "PREFERRED", "--all-topic-partitions"]);
        program::output(&mut command);
    }

    /// Kills the broker by SIGKILL.
    pub fn kill(&mut self) {
        self.running = None;
    }

    fn kcat(&self) -> Command {
        let mut command = Command::new("kcat");
        command.args(["-b", &self.address()]);
        command.stdin(Stdio::null());
        command
    }

    /// Creates a topic, with settings of the topic (`NAME=VALUE`).
    pub fn create(&self, topic: &str, partitions: u32, settings: &[&str]) {
        self.create_with(topic, &["--partitions", &partitions.to_string()], settings);
    }

    /// Creates a topic with a replica of each partition on both brokers. They are the leaders of
    /// the partitions in turn.
    pub fn create_replicated(&self, topic: &str, partitions: usize) {
        let replicas = ["1:2", "2:1"].into_iter().cycle().take(partitions);
        let replicas = replicas.collect::<Vec<&str>>().join(",");
        self.create_with(topic, &["--replica-assignment", &replicas], &[]);
    }

    fn create_with(&self, topic: &str, arguments: &[&str], settings: &[&str]) {
        let mut command = self.java("org.apache.kafka.tools.TopicCommand");
        command.args(["--bootstrap-server", &self.address()]);
        command.args(["--create", "--topic", topic]);
        command.args(arguments);
        for setting in settings {
            command.args(["--config", setting]);
        }
        program::output(&mut command);
    }

    /// Reads all messages of a topic.
    pub fn messages(&self, topic: &str) -> Vec<Message> {
        let mut command = self.kcat();
        command.args(["-C", "-t", topic, "-o", "beginning", "-e", "-q"]);
        command.args(["-f", "%p %K %S\n%k%s"]);
        let output = program::output(&mut command).stdout;
        let mut rest = &output[..];
        let mut messages = Vec::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|octet| *octet == b'\n');
            let (head, body) = rest.split_at(end.expect("a line"));
            let head = String::from_utf8_lossy(head).into_owned();
            let numbers: Vec<usize> = head
                .split(' ')
                // The length of a key that is null is -1.
                .map(|number| number.replace("-1", "0").parse().expect("a number"))
                .collect();
            let (key, value) = body[1..].split_at(numbers[1]);
            let (value, next) = value.split_at(numbers[2]);
            messages.push(Message {
                partition: u32::try_from(numbers[0]).expect("a partition"),
                key: key.iter().map(|octet| format!("{octet:02x}")).collect(),
                value: value.to_vec(),
            });
            rest = next;
        }
        messages
    }
}
