//! The driver: life after life on one folder, each beginning where the one before was killed.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::PLAN;
use crate::act::Act;
use crate::life::{End, Life};
use crate::model::Model;
use crate::place::{Kind, Place};
use crate::plan::Plan;
use crate::points;
use crate::random::Random;
use crate::worker::{INIT, JOURNAL, PEM};

/// What a campaign came to.
#[derive(Default)]
pub struct Figures {
    kills: u64,
    points: usize,
    at_points: u64,
    acknowledged: usize,
    under_way: u64,
    restarts: Vec<Duration>,
    mended: u64,
    took: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut restarts = self.restarts.clone();
        restarts.sort();
        let median = restarts.get(restarts.len() / 2).copied();
        write!(
            f,
            "{} kills at random and {} at {} failpoints, {} of them in the middle of a change; {} \
             changes acknowledged, none lost, nothing half-made, no orphan; restart to serving \
             {} ms (median), {} ms (worst of {}); {} s",
            self.kills,
            self.at_points,
            self.points,
            self.under_way,
            self.acknowledged,
            median.unwrap_or_default().as_millis(),
            restarts.last().copied().unwrap_or_default().as_millis(),
            restarts.len(),
            self.took.as_secs()
        )?;
        if self.mended > 0 {
            let mended = self.mended;
            write!(
                f,
                "; SoftHSM lost its own token file {mended} times, it was put back"
            )?;
        }
        Ok(())
    }
}

/// Passed with an object in the token that no record names yet.
const OBJECT_MADE: &str = "make.after-object";
/// Longest restart, process start to serving.
const RESTART_MAX: Duration = Duration::from_secs(2);
/// Changes of one life at random; most are never reached.
const ACTS: u64 = 24;
/// After so many lives a folder is put aside for a new one: the tokens' searches are linear.
const LIVES_PER_FOLDER: u64 = 60;

/// Everything, on one kind of token.
pub fn run(kind: Kind, folder: &Path, kills: u64, times: u64, seed: u64) -> Figures {
    let begun = Instant::now();
    let mut figures = Figures::default();
    let bar = ProgressBar::new(kills)
        .with_style(ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}").unwrap());
    at_random(kind, folder, kills, seed, &mut figures, &bar);
    at_points(kind, folder, times, seed, &mut figures, &bar);
    bar.finish_and_clear();
    figures.took = begun.elapsed();
    let mut restarts = figures.restarts.clone();
    restarts.sort();
    let median = restarts[restarts.len() / 2];
    assert!(median < RESTART_MAX, "a restart takes {median:?}");
    figures
}

fn at_random(
    kind: Kind,
    folder: &Path,
    kills: u64,
    seed: u64,
    figures: &mut Figures,
    bar: &ProgressBar,
) {
    bar.set_message(format!("{kind:?}, at random"));
    let mut random = Random::new(seed);
    let mut story = Story::begin(kind, &folder.join("random-0"));
    let (startup, span) = story.rehearse(&mut random);
    while figures.kills < kills {
        if story.lives > LIVES_PER_FOLDER {
            story.look(figures);
            let next = folder.join(format!("random-{}", figures.kills));
            story = Story::begin(kind, &next);
        }
        let end = if random.below(6) == 0 {
            End::AfterStart(part(startup, &mut random))
        } else {
            End::AfterReady(part(span, &mut random))
        };
        let plan = story.mix(&mut random);
        if story.live(&plan, end, figures).killed {
            figures.kills += 1;
            bar.inc(1);
        }
    }
    story.look(figures);
}

fn at_points(
    kind: Kind,
    folder: &Path,
    times: u64,
    seed: u64,
    figures: &mut Figures,
    bar: &ProgressBar,
) {
    let mut random = Random::new(seed);
    let mut base = Story::begin(kind, &folder.join("base"));
    let script = base.script();
    base.live(&script, End::Leaves, figures);
    // What a process left that died with a key in its hands: recovering passes failpoints too.
    let script = base.script();
    base.live(&script, End::At(OBJECT_MADE, 1), figures);
    let rehearsal = base.copy(&folder.join("list")).rehearse_points(figures);
    let counts = points::counted(&rehearsal);
    let known = points::in_the_sources();
    let passed: BTreeSet<String> = counts.keys().cloned().collect();
    assert_eq!(passed, known, "every failpoint is passed, and no other");
    let ends: Vec<(&str, u64)> = match kind {
        Kind::Embedded => counts
            .iter()
            .flat_map(|(name, count)| (0..times).map(move |_| (name.as_str(), *count)))
            .map(|(name, count)| (name, 1 + random.below(count)))
            .collect(),
        // Failpoints are ours and not the token's, so that one token is enough; but the object that is left
        // may be of any kind, SM2 keys among them.
        Kind::SoftHsm => (1..=counts[OBJECT_MADE])
            .map(|pass| (OBJECT_MADE, pass))
            .collect(),
    };
    figures.points = ends.iter().map(|end| end.0).collect::<BTreeSet<_>>().len();
    bar.set_message(format!("{kind:?}, at failpoints"));
    bar.set_length(ends.len() as u64);
    bar.set_position(0);
    for (number, (name, pass)) in ends.into_iter().enumerate() {
        let mut story = base.copy(&folder.join(format!("{name}-{number}")));
        let script = story.script();
        story.live(&script, End::At(name, pass), figures);
        figures.at_points += 1;
        story.look(figures);
        story.forget();
        bar.inc(1);
    }
}

fn part(of: Duration, random: &mut Random) -> Duration {
    let nanos = u64::try_from(of.as_nanos()).unwrap();
    Duration::from_nanos(random.below(nanos))
}

/// One folder and what must be in it.
struct Story {
    place: Place,
    model: Model,
    /// The change that was under way, and its request.
    under_way: Option<(Act, String)>,
    /// Request ids whose records must be in the journal.
    answered: Vec<String>,
    lives: u64,
    /// SoftHSM's own token file, as it last was whole.
    token_file: Option<Vec<u8>>,
}

impl Story {
    fn begin(kind: Kind, folder: &Path) -> Self {
        let place = prepare(kind, folder);
        make_pem(&folder.join(PEM));
        // A process of its own: this one must never load the module.
        let status = place
            .command(&std::env::current_exe().unwrap())
            .env(PLAN, INIT)
            .status();
        assert!(status.unwrap().success(), "no token could be made");
        Self {
            place,
            model: Model::default(),
            under_way: None,
            answered: Vec::new(),
            lives: 0,
            token_file: None,
        }
    }

    /// The same folder once more, elsewhere.
    fn copy(&self, folder: &Path) -> Self {
        let place = prepare(self.place.kind, folder);
        copy_folder(&self.place.folder, folder);
        Self {
            // The configuration names the folder it is for.
            place: prepare(place.kind, folder),
            model: self.model.clone(),
            under_way: self.under_way.clone(),
            answered: self.answered.clone(),
            lives: self.lives,
            token_file: self.token_file.clone(),
        }
    }

    fn forget(self) {
        std::fs::remove_dir_all(&self.place.folder).unwrap();
    }

    fn mix(&self, random: &mut Random) -> Plan {
        Plan::Mix {
            life: self.lives,
            seed: random.next(),
            acts: ACTS,
        }
    }

    fn script(&self) -> Plan {
        Plan::Script { life: self.lives }
    }

    /// How long a start takes, and how long a mix of changes.
    fn rehearse(&mut self, random: &mut Random) -> (Duration, Duration) {
        let plan = self.mix(random);
        let life = self.live(&plan, End::Leaves, &mut Figures::default());
        (life.ready.unwrap(), life.busy)
    }

    fn rehearse_points(mut self, figures: &mut Figures) -> Vec<String> {
        let plan = self.script();
        self.live(&plan, End::Lists, figures).passed
    }

    /// A last process, which only looks.
    fn look(&mut self, figures: &mut Figures) {
        let plan = Plan::Look { life: self.lives };
        self.live(&plan, End::Leaves, figures);
    }

    /// One life, and what it found is what the lives before it had acknowledged.
    fn live(&mut self, plan: &Plan, end: End<'_>, figures: &mut Figures) -> Life {
        figures.mended += u64::from(self.mend_softhsm());
        let number = self.lives;
        self.lives += 1;
        let request = self.under_way.as_ref().map_or("", |(_, request)| request);
        let mut life = match Life::run(&self.place, plan, request, end) {
            Ok(life) => life,
            Err(what) => panic!("life {number} in {}: {what}", self.kept()),
        };
        if let Some(found) = life.found.take() {
            if let Err(what) = self.meet(found, life.answered) {
                panic!("life {number} in {}: {what}", self.kept());
            }
            self.look_for_answers();
            self.under_way = None;
        }
        self.model.follow_all(&life);
        let answered = 0..life.done.len();
        self.answered
            .extend(answered.map(|act| format!("{number}-{act}")));
        if life.ready.is_some() {
            let request = format!("{number}-{}", life.done.len());
            self.under_way = life.under_way.clone().map(|act| (act, request));
        }
        figures.restarts.extend(life.serving);
        figures.acknowledged += life.done.len();
        figures.under_way += u64::from(life.under_way.is_some());
        life
    }

    /// SoftHSM 2.6.1 writes its token's own file in place at every login: who is killed there
    /// leaves it empty, and the token is gone. That is not ours to cure, only to be known; the
    /// file is put back. Answers whether it was.
    fn mend_softhsm(&mut self) -> bool {
        let tokens = walkdir::WalkDir::new(self.place.folder.join("tokens"));
        let file = tokens
            .into_iter()
            .filter_map(Result::ok)
            .find(|entry| entry.file_name() == "token.object");
        let Some(path) = file.map(walkdir::DirEntry::into_path) else {
            return false;
        };
        let now = std::fs::read(&path).unwrap();
        match &self.token_file {
            Some(whole) if now.is_empty() => {
                std::fs::write(&path, whole).unwrap();
                true
            }
            _ => {
                self.token_file = Some(now);
                false
            }
        }
    }

    /// What is there is what must be, and a change is there if and only if its answer is.
    fn meet(&mut self, found: Model, answered: Option<bool>) -> Result<(), String> {
        let act = self.under_way.as_ref().map(|(act, _)| act);
        let there = self.model.meet(act, found)?;
        match (act, there) {
            (Some(act), Some(there)) if act.is_answered() && answered != Some(there) => Err(
                format!("{act}: carried out: {there}; its answer is kept: {answered:?}"),
            ),
            _ => Ok(()),
        }
    }

    /// The record of everything that was acknowledged is in the journal.
    fn look_for_answers(&self) {
        let journal = std::fs::read_to_string(self.place.folder.join(JOURNAL)).unwrap();
        for id in &self.answered {
            assert!(
                journal.contains(&format!("\"{id}\"")),
                "no record of {id} in {}",
                self.kept()
            );
        }
    }

    /// The folder of a failure stays, to be looked into.
    fn kept(&self) -> String {
        let kept = std::env::temp_dir().join(format!("pintle-kill-{}", std::process::id()));
        std::fs::create_dir_all(&kept).unwrap();
        copy_folder(&self.place.folder, &kept);
        kept.display().to_string()
    }
}

/// SoftHSM acts as having SM2, so that its keys die and come back with the others.
fn prepare(kind: Kind, folder: &Path) -> Place {
    match kind {
        Kind::Embedded => Place::prepare(kind, folder),
        Kind::SoftHsm => Place::prepare_with_sm2(folder),
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap) {
        let at: PathBuf = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(&at).unwrap();
        } else if entry.file_type().is_file() {
            // Else it is the shim's socket.
            std::fs::copy(entry.path(), &at).unwrap();
        }
    }
}

fn make_pem(path: &Path) {
    let output = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-out"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "openssl makes an RSA key");
}
