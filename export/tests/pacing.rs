//! A target with a rate delays neither other targets nor the shutdown.
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowproto::exporter::{ExportSession, ExportSettings};
use flowproto::{FlowKey, FlowRecord};
use kipfix_export::counters::{TargetCounters, TargetFamilies};
use kipfix_export::{Encoding, Exporter, PreparedTarget, SessionStart, TargetContext};
use kipfix_service::signals::Stop;

#[derive(Clone, Debug)]
struct Ipfix;

impl Encoding for Ipfix {
    type Session = ExportSession;

    fn begin(&self, start: SessionStart) -> ExportSession {
        ExportSession::new(ExportSettings {
            max_message_octets: start.max_message_octets,
            ..ExportSettings::default()
        })
    }

    fn flow_key(record: &FlowRecord) -> FlowKey {
        record.key
    }
}

type Opened = (Box<dyn Exporter<FlowRecord>>, TargetCounters, Stop);

/// Opens a target with these parameters at a receiver.
fn open(
    receiver: &UdpSocket,
    parameters: &str,
    offline: bool,
    is_only_target: bool,
    queue_records: usize,
) -> Opened {
    let families =
        TargetFamilies::register(&kipfix_service::metric_maker::MetricMaker::new("test")).unwrap();
    let url = format!("udp://{}{parameters}", receiver.local_addr().unwrap());
    let target = PreparedTarget::new(&url.parse().unwrap(), &families);
    let stop = Stop::new().unwrap();
    let context = TargetContext {
        stop: stop.clone(),
        offline,
        is_only_target,
        queue_records,
        records_per_second: 0,
        own_endpoints: Arc::default(),
        identity: "test".to_owned(),
    };
    let exporter = target.open(&Ipfix, &context).unwrap().unwrap();
    (exporter, target.counters().clone(), stop)
}

fn receiver() -> UdpSocket {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let timeout = Some(Duration::from_secs(10));
    receiver.set_read_timeout(timeout).unwrap();
    receiver
}

#[expect(clippy::disallowed_methods, reason = "measures a delay")]
fn lasted(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

#[test]
fn a_paced_target_delays_no_other_one_and_its_losses_are_counted() {
    let receiver = receiver();
    for is_only_target in [true, false] {
        let (mut target, counters, _stop) =
            open(&receiver, "?rate=100", false, is_only_target, 1000);
        // At its rate, they would take 50 s.
        let export = lasted(|| {
            for _ in 0..50 {
                target.export(&vec![FlowRecord::default(); 100], 0);
                target.flush(0);
            }
        });
        assert!(export < Duration::from_secs(2), "{export:?}");
        let lost = counters.total_lost();
        assert!((3800..=4000).contains(&lost), "{lost}");
        let finish = lasted(|| target.finish(0));
        assert!(finish < Duration::from_secs(8), "{finish:?}");
        assert_eq!(counters.sent() + counters.total_lost(), 5000);
        // Five seconds at its rate, and at most a batch at the end.
        assert!(
            (300..1000).contains(&counters.sent()),
            "{}",
            counters.sent()
        );
    }
}

#[test]
fn records_of_a_savefile_wait_for_the_rate() {
    let receiver = receiver();
    for (is_only_target, queue_records) in [(true, 10), (false, 10), (false, 10_000)] {
        let (mut target, counters, _stop) =
            open(&receiver, "?rate=1000", true, is_only_target, queue_records);
        let all = lasted(|| {
            for _ in 0..10 {
                target.export(&vec![FlowRecord::default(); 100], 0);
            }
            target.finish(0);
        });
        assert_eq!((counters.sent(), counters.total_lost()), (1000, 0));
        assert!((800..4000).contains(&all.as_millis()), "{all:?}");
    }
}

#[test]
fn another_target_of_a_savefile_does_not_wait() {
    let receiver = receiver();
    let (mut paced, paced_counters, stop) = open(&receiver, "?rate=10", true, false, 100_000);
    let (mut other, counters, _stop) = open(&receiver, "?rate=0", true, false, 100_000);
    let records = vec![FlowRecord::default(); 1000];
    let both = lasted(|| {
        paced.export(&records, 0);
        other.export(&records, 0);
        other.finish(0);
    });
    assert!(both < Duration::from_secs(3), "{both:?}");
    assert_eq!((counters.sent(), counters.total_lost()), (1000, 0));
    // The stop ends the waiting.
    stop.set();
    let finish = lasted(|| paced.finish(0));
    assert!(finish < Duration::from_secs(8), "{finish:?}");
    let (sent, lost) = (paced_counters.sent(), paced_counters.total_lost());
    assert_eq!(sent + lost, 1000);
}
