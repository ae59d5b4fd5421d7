//! One process from its start to its end, as the driver sees it: what it found, what it
//! acknowledged, what it was doing when it died.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pintle::failpoint;

use crate::act::Act;
use crate::model::Model;
use crate::place::Place;
use crate::plan::Plan;
use crate::{PLAN, UNDER_WAY};

/// How a process is to end.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// It does its script and leaves.
    Leaves,
    /// Killed so long after its start.
    AfterStart(Duration),
    /// Killed so long after it had told what it found.
    AfterReady(Duration),
    /// It passes a failpoint for the n-th time, and dies there.
    At(&'a str, u64),
    /// It leaves, and names every failpoint that it passes.
    Lists,
}

/// What became of it.
#[derive(Default)]
pub struct Life {
    /// Whether the request that was under way before has its answer kept.
    pub answered: Option<bool>,
    /// What it found, if it got so far as to tell all of it.
    pub found: Option<Model>,
    /// What it acknowledged, in order.
    pub done: Vec<Act>,
    /// What it had begun and not acknowledged.
    pub under_way: Option<Act>,
    /// From its start until it would have served.
    pub serving: Option<Duration>,
    /// From its start until it had told what it found.
    pub ready: Option<Duration>,
    /// From then to its end.
    pub busy: Duration,
    /// Failpoints passed, where it was to list them.
    pub passed: Vec<String>,
    /// Whether SIGKILL ended it.
    pub killed: bool,
}

impl Life {
    /// Runs a worker until its end. Fails where it ended otherwise than it should, or said that
    /// something is wrong.
    pub fn run(place: &Place, plan: &Plan, under_way: &str, end: End<'_>) -> Result<Self, String> {
        let mut command = place.command(&std::env::current_exe().unwrap());
        command
            .env(PLAN, plan.to_string())
            .env(UNDER_WAY, under_way)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        match end {
            End::At(point, time) => command.env(failpoint::VARIABLE, format!("{point}:{time}")),
            End::Lists => command.env(failpoint::VARIABLE, "list"),
            _ => command.env_remove(failpoint::VARIABLE),
        };
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let (lines, reader) = read_lines(child.stdout.take().unwrap());
        let errors = read_all(child.stderr.take().unwrap());
        let mut told = Vec::new();
        match end {
            End::AfterStart(wait) => kill_after(&mut child, wait),
            End::AfterReady(wait) => {
                // A worker that ends before is found out by its status.
                while let Ok((at, line)) = lines.recv() {
                    let is_ready = line == "ready";
                    told.push((at, line));
                    if is_ready {
                        kill_after(&mut child, wait);
                        break;
                    }
                }
            }
            End::Leaves | End::At(..) | End::Lists => {}
        }
        let status = child.wait().unwrap();
        let ended = Instant::now();
        reader.join().unwrap();
        told.extend(lines.try_iter());
        let errors = errors.join().unwrap();
        let mut life = Self::of(&told, started, ended)
            .map_err(|what| format!("{what}\n{plan} {end:?} {status}\n{errors}"))?;
        life.killed = status.signal() == Some(9);
        life.passed = errors
            .lines()
            .filter_map(|line| line.strip_prefix(failpoint::LISTED))
            .map(str::to_owned)
            .collect();
        if ended_well(end, status) {
            Ok(life)
        } else {
            Err(format!("{plan} {end:?}: {status}\n{errors}"))
        }
    }

    fn of(told: &[(Instant, String)], started: Instant, ended: Instant) -> Result<Self, String> {
        let mut life = Self::default();
        let mut found = Model::default();
        for (at, line) in told {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "serving" => life.serving = Some(*at - started),
                "answered" => life.answered = Some(rest == "true"),
                "record" => {
                    let [name, version, state] = rest.split(' ').collect::<Vec<_>>()[..] else {
                        return Err(format!("not a record: {line}"));
                    };
                    let key = (name.to_owned(), version.parse().unwrap());
                    found.0.insert(key, state.to_owned());
                }
                "ready" => {
                    life.ready = Some(*at - started);
                    life.busy = ended - *at;
                    life.found = Some(std::mem::take(&mut found));
                }
                "try" => life.under_way = Some(Act::parse(rest)),
                "done" => life.done.extend(life.under_way.take()),
                _ => return Err(line.clone()),
            }
        }
        Ok(life)
    }
}

fn ended_well(end: End<'_>, status: ExitStatus) -> bool {
    match end {
        End::Leaves | End::Lists => status.success(),
        End::At(..) => status.signal() == Some(9),
        // It may have done all it had to do first.
        End::AfterStart(_) | End::AfterReady(_) => status.success() || status.signal() == Some(9),
    }
}

fn kill_after(child: &mut Child, wait: Duration) {
    std::thread::sleep(wait);
    // It may have ended by itself.
    let _ = child.kill();
}

type Lines = Receiver<(Instant, String)>;

/// Whole lines only: the last one may have been cut by the kill.
fn read_lines(from: impl Read + Send + 'static) -> (Lines, JoinHandle<()>) {
    let (sender, lines) = channel();
    let reader = std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = String::new();
        while from.read_line(&mut line).is_ok_and(|read| read > 0) {
            if let Some(whole) = line.strip_suffix('\n') {
                let _ = sender.send((Instant::now(), whole.to_owned()));
            }
            line.clear();
        }
    });
    (lines, reader)
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = from.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}
