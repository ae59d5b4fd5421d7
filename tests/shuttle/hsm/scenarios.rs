//! The scenarios. A job is a number; what it was answered is counted in a ledger, and must be one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

use crate::explore;
use crate::hsm::breaker::{Breaker, Waits};
use crate::hsm::desk::Desk;
use crate::hsm::gate::Gate;
use crate::hsm::queue::Queue;

/// Shuttle's waits never time out.
const LONG: Duration = Duration::from_secs(3600);

#[test]
fn no_call_is_in_a_module_that_is_being_initialised_again() {
    explore(|| {
        let gate = Arc::new(Gate::new());
        // The era of the module; 0 while it is not initialised.
        let module = Arc::new(AtomicU32::new(1));
        let callers = (0..3).map(|_| {
            let (gate, module) = (Arc::clone(&gate), Arc::clone(&module));
            thread::spawn(move || {
                for _ in 0..2 {
                    let pass = gate.enter(LONG).unwrap();
                    let era = pass.era();
                    assert_eq!(module.load(Ordering::SeqCst), era);
                    thread::yield_now();
                    assert_eq!(module.load(Ordering::SeqCst), era);
                    drop(pass);
                    // What was opened in it is closed in it, or not at all.
                    if let Some(_pass) = gate.enter_of(era) {
                        assert_eq!(module.load(Ordering::SeqCst), era);
                    }
                }
            })
        });
        let callers: Vec<_> = callers.collect();
        let menders = (0..2).map(|_| {
            let (gate, module) = (Arc::clone(&gate), Arc::clone(&module));
            thread::spawn(move || {
                let Some(alone) = gate.drain(LONG) else {
                    return;
                };
                let era = module.swap(0, Ordering::SeqCst);
                thread::yield_now();
                assert_eq!(module.swap(era + 1, Ordering::SeqCst), 0);
                alone.reopen();
            })
        });
        let menders: Vec<_> = menders.collect();
        for thread in callers.into_iter().chain(menders) {
            thread.join().unwrap();
        }
    });
}

/// What each job was answered.
struct Ledger(Vec<AtomicUsize>);

impl Ledger {
    fn new(jobs: usize) -> Arc<Self> {
        Arc::new(Self((0..jobs).map(|_| AtomicUsize::new(0)).collect()))
    }

    fn answer(&self, jobs: impl IntoIterator<Item = usize>) {
        for job in jobs {
            self.0[job].fetch_add(1, Ordering::SeqCst);
        }
    }

    fn all_once(&self) {
        for (job, answers) in self.0.iter().enumerate() {
            assert_eq!(answers.load(Ordering::SeqCst), 1, "job {job}");
        }
    }
}

#[test]
fn every_job_is_answered_once_whatever_the_door_does() {
    explore(|| {
        let (queue, ledger) = (Arc::new(Queue::new(3, 2, 2)), Ledger::new(6));
        let desks: Vec<_> = (0..2)
            .map(|_| Arc::new(Desk::<usize, usize>::new()))
            .collect();
        let workers = desks.iter().map(|desk| {
            let (queue, desk) = (Arc::clone(&queue), Arc::clone(desk));
            let ledger = Arc::clone(&ledger);
            thread::spawn(move || {
                let mut share = VecDeque::new();
                // As a worker does: what is done waits for what comes next, if anything does, but not for
                // the last.
                while queue.try_take(&mut share) || {
                    ledger.answer(desk.hand_over());
                    queue.take(&mut share)
                } {
                    desk.lay(&mut share);
                    while let Some(job) = desk.begin(|job| *job) {
                        if desk.load() == 1 && queue.depth() == 0 {
                            ledger.answer(desk.hand_over());
                        }
                        assert!(desk.end());
                        if job % 2 == 0 {
                            ledger.answer(desk.hand_over());
                        }
                    }
                }
            })
        });
        let workers: Vec<_> = workers.collect();
        let producers = (0..2).map(|number| {
            let (queue, ledger) = (Arc::clone(&queue), Arc::clone(&ledger));
            thread::spawn(move || {
                for job in number * 3..number * 3 + 3 {
                    if let Err((_, refused)) = queue.push(job) {
                        ledger.answer([refused]);
                    }
                }
            })
        });
        let mut others: Vec<_> = producers.collect();
        let (door, ledger_of_door) = (Arc::clone(&queue), Arc::clone(&ledger));
        let seen = desks.clone();
        others.push(thread::spawn(move || {
            ledger_of_door.answer(door.shut());
            for desk in &seen {
                ledger_of_door.answer(desk.clear());
                ledger_of_door.answer(desk.hand_over());
            }
            door.open();
        }));
        for thread in others {
            thread.join().unwrap();
        }
        ledger.answer(queue.close());
        for desk in &desks {
            ledger.answer(desk.clear());
        }
        for worker in workers {
            worker.join().unwrap();
        }
        ledger.all_once();
    });
}

#[test]
fn a_worker_that_hangs_is_written_off_once_and_goes_home() {
    explore(|| {
        let ledger = Ledger::new(3);
        let desk = Arc::new(Desk::<usize, usize>::new());
        desk.lay(&mut VecDeque::from([0, 1, 2]));
        // Every call but the first hangs until somebody has given up.
        let hang = Arc::new((Mutex::new(false), Condvar::new()));
        let worker = {
            let (desk, ledger, hang) = (Arc::clone(&desk), Arc::clone(&ledger), Arc::clone(&hang));
            thread::spawn(move || {
                while let Some(job) = desk.begin(|job| *job) {
                    let mut released = hang.0.lock().unwrap();
                    while job > 0 && !*released {
                        released = hang.1.wait(released).unwrap();
                    }
                    drop(released);
                    if !desk.end() {
                        return true;
                    }
                }
                ledger.answer(desk.hand_over());
                false
            })
        };
        let supervisors = (0..2).map(|_| {
            let (desk, ledger) = (Arc::clone(&desk), Arc::clone(&ledger));
            thread::spawn(move || {
                let left = desk.write_off(|_| true);
                ledger.answer(desk.hand_over());
                let Some(left) = left else {
                    return 0;
                };
                ledger.answer([left.doing]);
                ledger.answer(left.waiting);
                ledger.answer(left.done);
                1
            })
        });
        let supervisors: Vec<_> = supervisors.collect();
        let written_off: usize = supervisors.into_iter().map(|s| s.join().unwrap()).sum();
        *hang.0.lock().unwrap() = true;
        hang.1.notify_all();
        let sent_home = worker.join().unwrap();
        // The supervisors may have come before the worker sat down.
        assert_eq!(written_off == 1, sent_home);
        assert_eq!(desk.is_written_off(), sent_home);
        ledger.all_once();
    });
}

#[test]
fn the_queue_is_shut_exactly_while_the_breaker_is_open() {
    explore(|| {
        let start = Instant::now();
        let breaker = Arc::new(Breaker::new(Waits {
            first: Duration::ZERO,
            longest: Duration::ZERO,
        }));
        let queue = Arc::new(Queue::new(64, 1, 1));
        let epoch = Arc::new(AtomicU32::new(0));
        let mending = Arc::new(AtomicBool::new(false));
        let trippers = (0..3).map(|_| {
            let (breaker, queue) = (Arc::clone(&breaker), Arc::clone(&queue));
            let epoch = Arc::clone(&epoch);
            thread::spawn(move || {
                let met = epoch.load(Ordering::SeqCst);
                let holds = || epoch.load(Ordering::SeqCst) == met;
                breaker.trip("why", start, holds, || drop(queue.shut()));
                // Whoever is refused finds a reason, or was refused before it was mended.
                let _ = queue.push(1);
            })
        });
        let trippers: Vec<_> = trippers.collect();
        let menders = (0..2).map(|number| {
            let (breaker, queue) = (Arc::clone(&breaker), Arc::clone(&queue));
            let (epoch, mending) = (Arc::clone(&epoch), Arc::clone(&mending));
            thread::spawn(move || {
                for attempt in 0..2 {
                    if breaker.begin_probe(start).is_none() {
                        continue;
                    }
                    assert!(!mending.swap(true, Ordering::SeqCst), "one probe at a time");
                    if (number + attempt) % 2 == 0 {
                        mending.store(false, Ordering::SeqCst);
                        breaker.probe_failed("still", start);
                    } else {
                        epoch.fetch_add(1, Ordering::SeqCst);
                        mending.store(false, Ordering::SeqCst);
                        breaker.probe_succeeded(|| queue.open());
                    }
                }
            })
        });
        let menders: Vec<_> = menders.collect();
        for thread in trippers.into_iter().chain(menders) {
            thread.join().unwrap();
        }
        let takes = queue.push(2).is_ok();
        assert_eq!(takes, breaker.why().is_none());
    });
}
