//! What the pool's core does on one thread. Here and not beside it: `tests/shuttle` compiles those
//! files again, with the locks of a scheduler that only works inside its own tests.

mod gate {
    use std::time::Duration;

    use crate::hsm::gate::Gate;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_drain_waits_for_those_inside_and_gives_up() {
        let gate = Gate::new();
        let pass = gate.enter(NOW).unwrap();
        assert!(gate.drain(NOW).is_none());
        assert!(gate.enter(NOW).is_some(), "calls pass as before");
        drop(pass);
        let alone = gate.drain(NOW).unwrap();
        assert!(gate.enter(NOW).is_none() && gate.drain(NOW).is_none());
        alone.reopen();
        assert_eq!(gate.enter(NOW).unwrap().era(), 2);
    }

    #[test]
    fn what_an_era_opened_is_tidied_in_that_era_only() {
        let gate = Gate::new();
        assert!(gate.enter_of(1).is_some());
        drop(gate.drain(NOW).unwrap());
        assert!(gate.enter_of(1).is_none() && gate.enter_of(2).is_none());
        assert!(gate.enter(NOW).is_none(), "shut");
        gate.drain(NOW).unwrap().reopen();
        assert!(gate.enter_of(3).is_some());
    }
}

mod queue {
    use std::collections::VecDeque;

    use crate::hsm::queue::{Queue, Refused};

    #[test]
    fn a_job_is_taken_or_handed_back_whatever_the_door() {
        let queue = Queue::new(3, 2, 16);
        for job in 1..=3 {
            queue.push(job).unwrap();
        }
        assert_eq!(queue.push(4), Err((Refused::Full, 4)));
        let mut share = VecDeque::new();
        assert!(queue.take(&mut share));
        assert_eq!(share, [1, 2], "half of three, rounded up");
        assert_eq!(queue.shut(), [3]);
        assert_eq!(queue.push(5), Err((Refused::Shut, 5)));
        queue.open();
        queue.push(6).unwrap();
        assert_eq!(queue.close(), [6]);
        queue.open();
        assert_eq!(queue.push(7), Err((Refused::Closed, 7)));
        assert!(!queue.take(&mut share));
    }
}

mod desk {
    use std::collections::VecDeque;

    use crate::hsm::desk::Desk;

    #[test]
    fn a_written_off_worker_leaves_everything_and_goes() {
        let desk = Desk::new();
        desk.lay(&mut VecDeque::from([1, 2, 3]));
        assert_eq!(desk.begin(|job| *job), Some(1));
        assert!(desk.write_off(|doing| *doing == 2).is_none());
        assert!(desk.end());
        assert_eq!(desk.begin(|job| *job), Some(2));
        assert_eq!(desk.load(), 2, "what has ended does not count");
        let left = desk.write_off(|doing| *doing == 2).unwrap();
        assert_eq!((left.doing, left.waiting), (2, VecDeque::from([3])));
        assert_eq!(left.done, [1]);
        assert!(desk.write_off(|_| true).is_none(), "once");
        assert!(!desk.end());
        assert_eq!(desk.begin(|job| *job), None);
        assert!(desk.hand_over().is_empty());
    }
}

mod breaker {
    use std::time::{Duration, Instant};

    use crate::hsm::breaker::{Breaker, BreakerState, Waits};

    const WAITS: Waits = Waits {
        first: Duration::from_millis(100),
        longest: Duration::from_millis(300),
    };

    #[test]
    fn it_opens_once_and_closes_by_a_probe_alone() {
        let (breaker, start) = (Breaker::new(WAITS), Instant::now());
        assert!(!breaker.trip("stale", start, || false, || unreachable!()));
        assert_eq!(breaker.why(), None);
        assert!(breaker.trip("device", start, || true, || ()));
        assert!(!breaker.trip("again", start, || true, || unreachable!()));
        assert_eq!(breaker.why(), Some("device"));
        assert_eq!(breaker.begin_probe(start), None, "not yet");
        let at = start + WAITS.first;
        assert_eq!(breaker.begin_probe(at), Some(0));
        assert_eq!(breaker.begin_probe(at), None, "one at a time");
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.probe_failed("still", at);
        assert_eq!(breaker.why(), Some("still"));
        assert_eq!(breaker.begin_probe(at + WAITS.first), Some(1));
        breaker.probe_succeeded(|| ());
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn probes_come_at_growing_intervals_up_to_the_longest() {
        let (breaker, mut now) = (Breaker::new(WAITS), Instant::now());
        breaker.trip((), now, || true, || ());
        now += WAITS.first;
        for wait in [100, 200, 300, 300] {
            assert!(breaker.begin_probe(now).is_some());
            breaker.probe_failed((), now);
            let wait = Duration::from_millis(wait);
            assert!(
                breaker
                    .begin_probe(now + wait - Duration::from_millis(1))
                    .is_none()
            );
            now += wait;
        }
    }
}
