//! The time that a shutdown takes.

use super::*;
use crate::exporter::SHUTDOWN_TIMEOUT;

/// Exports 200,000 records to a listener, and returns the time that the shutdown takes after a
/// pause.
fn shutdown_time(listener: &TcpListener, pause: Duration) -> Duration {
    let target = exporter(listener.local_addr().unwrap().port(), "127.0.0.1", None);
    let counters = target.dialer.destination.counters.clone();
    let deadline = target.dialer.destination.deadline.clone();
    let policy = OverflowPolicy::Drop;
    let mut queued =
        QueuedExporter::start(target, deadline, 100_000, policy, counters.clone()).unwrap();
    let records = vec![FlowRecord::default(); 1000];
    for _ in 0..200 {
        queued.export(&records, 0);
    }
    std::thread::sleep(pause);
    let start = monotonic();
    queued.finish(0);
    let elapsed = start.elapsed();
    assert_eq!(counters.sent() + counters.total_lost(), 200_000);
    elapsed
}

#[test]
fn a_target_that_accepts_nothing_does_not_delay_the_shutdown() {
    // What the work takes at the speed of this machine.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let work = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut socket, _) = listener.accept().unwrap();
            std::io::copy(&mut socket, &mut std::io::sink()).unwrap();
        });
        let start = monotonic();
        shutdown_time(&listener, Duration::ZERO);
        start.elapsed()
    });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let elapsed = shutdown_time(&listener, Duration::from_millis(300));
    let limit = SHUTDOWN_TIMEOUT + Duration::from_secs(1) + 3 * work;
    assert!(elapsed < limit, "{elapsed:?} of {limit:?}, work {work:?}");
}
