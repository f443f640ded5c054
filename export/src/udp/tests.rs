//! UDP targets against sockets of the test.

use std::net::{Shutdown, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::counters::{LossReason, TargetCounters};
use crate::names::TargetName;
use crate::own_endpoints::OwnEndpoints;
use crate::shutdown::ShutdownDeadline;
use crate::test_encoding::Plain;
use flowproto::FlowRecord;
use flowproto::collector::Fields;
use flowproto::collector::{CollectingProcess, Limits, Message, RecordSink};
use socket2::SockRef;

#[test]
fn a_target_that_restarts_has_received_what_the_counters_report() {
    let listen = |port: u16| UdpSocket::bind(("127.0.0.1", port)).unwrap();
    // Sequence numbers count every Data Record, also while the port is closed.
    let receive_all =
        |socket: &UdpSocket, process: &mut CollectingProcess, received: &mut Received| {
            socket.set_nonblocking(true).unwrap();
            let mut buffer = [0; 1500];
            while let Ok(length) = socket.recv(&mut buffer) {
                let exporter = "192.0.2.1:1".parse().unwrap();
                process.receive(exporter, &buffer[..length], 0, received);
            }
        };
    let counters = TargetCounters::for_tests();
    let receiver = listen(0);
    let port = receiver.local_addr().unwrap().port();
    let settings = UdpSettings {
        max_message_octets: 1400,
        records_per_second: 0,
        wait: false,
        source_port: 0,
    };
    let name = TargetName::new("127.0.0.1", port);
    let destination = Destination {
        name,
        deadline: ShutdownDeadline::default(),
        own_endpoints: Arc::default(),
        counters: counters.clone(),
    };
    let mut target = UdpExporter::new(destination, Plain, settings);
    let (mut process, mut records) = (CollectingProcess::new(Limits::default()), Received(0));
    let round = vec![FlowRecord::default(); 1000];
    target.export(&round, 1000);
    target.flush(1000);
    receive_all(&receiver, &mut process, &mut records);
    drop(receiver);
    target.export(&round, 1001);
    target.flush(1001);
    let receiver = listen(port);
    target.export(&round, 1002);
    target.flush(1002);
    target.finish(1002);
    receive_all(&receiver, &mut process, &mut records);

    assert_eq!(counters.sent() + counters.total_lost(), 3000);
    assert_eq!(counters.sent(), records.0);
    assert_eq!(
        counters.lost_for(LossReason::Refused),
        counters.total_lost()
    );
    process.expire(u64::MAX);
    // The restarted receiver got templates at once.
    assert!(process.counters().templates > 2);
    // The sequence gap is what was lost, and the options data in between: at most one announcement.
    let missed = process.counters().sequence.lost - counters.total_lost();
    assert!(missed <= 100, "{missed}");
    assert!((900..1100).contains(&counters.total_lost()));
}

struct Received(u64);

impl RecordSink for Received {
    fn message(&mut self, _: &Message<'_>) {}
    fn record(&mut self, _: &Message<'_>, _: &FlowRecord, _: Fields<'_>) {
        self.0 += 1;
    }
}

#[test]
fn a_target_with_a_new_address_receives_templates_and_loses_no_record() {
    let listen = || UdpSocket::bind("127.0.0.1:0").unwrap();
    let (old, new) = (listen(), listen());
    let counters = TargetCounters::for_tests();
    let name = TargetName::new("127.0.0.1", old.local_addr().unwrap().port());
    let settings = UdpSettings {
        max_message_octets: 1400,
        records_per_second: 0,
        wait: true,
        source_port: 0,
    };
    let own_endpoints = Arc::new(OwnEndpoints::default());
    let destination = Destination {
        name: name.clone(),
        deadline: ShutdownDeadline::default(),
        own_endpoints: Arc::clone(&own_endpoints),
        counters: counters.clone(),
    };
    let mut target = UdpExporter::new(destination, Plain, settings);
    let record = FlowRecord::default();
    target.export(std::slice::from_ref(&record), 1000);
    let before = own_endpoints.all();
    name.move_to(&[new.local_addr().unwrap()]);
    // A socket is not opened twice within a second.
    target.sender.forget_attempt();
    target.export(&[record], 1001);
    assert_eq!(own_endpoints.all(), before, "the source port stays");
    target.finish(1001);

    assert_eq!((counters.sent(), counters.total_lost()), (2, 0));
    assert_eq!(own_endpoints.all(), []);
    let mut buffer = [0; 1500];
    for socket in [old, new] {
        let octets = socket.recv(&mut buffer).unwrap();
        // After the header: the Template Set that every session starts with.
        assert_eq!((buffer[16..18].to_vec(), octets > 60), (vec![0, 2], true));
    }
}

#[test]
fn templates_that_could_not_be_sent_are_sent_again() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_nonblocking(true).unwrap();
    let to = receiver.local_addr().unwrap();
    let counters = TargetCounters::for_tests();
    let settings = UdpSettings {
        max_message_octets: 1400,
        records_per_second: 0,
        wait: false,
        source_port: 0,
    };
    let destination = Destination {
        name: TargetName::new("127.0.0.1", to.port()),
        deadline: ShutdownDeadline::default(),
        own_endpoints: Arc::default(),
        counters: counters.clone(),
    };
    let mut target = UdpExporter::new(destination, Plain, settings);
    assert!(target.ensure_open(1000));
    // A socket that is shut down fails, as does one behind a packet filter that drops.
    let failing = UdpSocket::bind("127.0.0.1:0").unwrap();
    failing.connect(to).unwrap();
    SockRef::from(&failing).shutdown(Shutdown::Write).unwrap();
    let working = target.sender.replace_socket(failing).unwrap();
    let record = [FlowRecord::default()];
    target.export(&record, 1000);
    target.flush(1000);
    target.sender.replace_socket(working);
    target.export(&record, 1001);
    // They are sent once per second.
    std::thread::sleep(Duration::from_secs(1));
    target.flush(1001);
    target.finish(1002);
    assert_eq!((counters.sent(), counters.total_lost()), (1, 1));

    let (mut process, mut records) = (CollectingProcess::new(Limits::default()), Received(0));
    let mut buffer = [0; 1500];
    while let Ok(length) = receiver.recv(&mut buffer) {
        let exporter = "192.0.2.1:1".parse().unwrap();
        process.receive(exporter, &buffer[..length], 0, &mut records);
    }
    assert_eq!(records.0, 1);
}
