//! Two tokens of one store, and one of them hangs: the other serves, as fast as before.

use std::time::{Duration, Instant};

use crate::Extent;
use crate::absence::runtime;
use crate::figures::Figures;
use crate::load::{Kind, Load, Outcome, quantile};
use crate::shim::Shim;
use crate::site::{Served, Site, reasons};

/// From the hang to the breaker's opening.
const OPENED: Duration = Duration::from_secs(1);
/// Serving again after its release.
const BACK: Duration = Duration::from_secs(5);
/// The other's p99 while this one hangs, in thousandths of what it was before.
const SLOWER: u128 = 1500;
/// Who took longer had waited for the token that hangs.
const WAITED: Duration = Duration::from_millis(700);
/// One window of measuring.
const WINDOW: Duration = Duration::from_secs(3);

pub fn one_of_two_hangs(extent: Extent, figures: &mut Figures) {
    let times = match extent {
        Extent::Short => 2,
        Extent::Full => 20,
    };
    let (site, shims) = Site::with_two_shims();
    let served = site.serve();
    runtime().block_on(async {
        let client = served.client().await;
        let mut health = served.health().await;
        health.until(true, BACK).await;
        let mut seen = Seen::default();
        for turn in 0..times {
            // The second by turns with the first, which alone has the keys that sign.
            let hung = (turn + 1) % 2;
            let load = Load::start(&client);
            tokio::time::sleep(WINDOW).await;
            let begun = Instant::now();
            seen.hang(&served, &shims[hung], begun).await;
            tokio::time::sleep(WINDOW).await;
            assert!(health.serves().await, "{}", served.log());
            let hanging = word(&shims[hung].tell("counts"), "hanging=");
            let ended = Instant::now();
            seen.release(&served, &shims[hung], ended).await;
            seen.judge(&served, &load.stop().await, [begun, ended], hung, hanging);
        }
        seen.note(figures, times, extent);
    });
}

#[derive(Default)]
struct Seen {
    opened: Vec<Duration>,
    back: Vec<Duration>,
    before: Vec<Duration>,
    meanwhile: Vec<Duration>,
    waited: usize,
    refused: usize,
    in_flight: usize,
}

impl Seen {
    async fn hang(&mut self, served: &Served<'_>, shim: &Shim, begun: Instant) {
        let words = ["the token does not serve"];
        let before = served.times(&words);
        shim.tell("hang any");
        while served.times(&words) == before {
            assert!(begun.elapsed() < OPENED, "{}", served.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.opened.push(begun.elapsed());
    }

    async fn release(&mut self, served: &Served<'_>, shim: &Shim, ended: Instant) {
        let words = ["the token serves again"];
        let before = served.times(&words);
        shim.tell("release");
        while served.times(&words) == before {
            assert!(ended.elapsed() < BACK, "{}", served.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.back.push(ended.elapsed());
    }

    fn judge(
        &mut self,
        served: &Served<'_>,
        outcomes: &[Outcome],
        [begun, ended]: [Instant; 2],
        hung: usize,
        hanging: usize,
    ) {
        // What signs is in the first token alone.
        let can_move = |o: &&Outcome| hung != 0 || o.kind != Kind::Sign;
        let all: Vec<Outcome> = outcomes.iter().filter(can_move).cloned().collect();
        let refused = all.iter().filter(|o| o.refused.is_some()).count();
        let why = || format!("{hanging} in flight: {:?}\n{}", reasons(&all), served.log());
        assert!(refused <= hanging, "{refused} refused of {}", why());
        self.refused += refused;
        self.in_flight += hanging;
        for o in &all {
            if o.scheduled + WAITED < begun {
                self.before.push(o.took);
            } else if o.scheduled > begun && o.scheduled < ended {
                if o.took < WAITED {
                    self.meanwhile.push(o.took);
                } else {
                    self.waited += 1;
                }
            }
        }
    }

    fn note(self, figures: &mut Figures, times: usize, extent: Extent) {
        let [before, meanwhile] = [self.before, self.meanwhile].map(|of| quantile(of, 990));
        figures.note("one of two tokens hung", times);
        figures.worst("breaker open after", &self.opened);
        let refused = format!("{} with {} calls in it", self.refused, self.in_flight);
        figures.note("refused", refused);
        figures.note("waited for it and were answered by the other", self.waited);
        let p99 = |time: Duration| time.as_micros();
        let both = format!("{} µs, before {} µs", p99(meanwhile), p99(before));
        figures.note("p99 of the rest", both);
        figures.worst("back after", &self.back);
        // Two short windows on a shared machine are no measurement.
        assert!(
            extent == Extent::Short || meanwhile.as_micros() * 1000 <= before.as_micros() * SLOWER,
            "p99 {meanwhile:?}, before {before:?}"
        );
    }
}

/// The number after a word of the shim's counts.
fn word(counts: &str, name: &str) -> usize {
    let found = counts.split(' ').find_map(|word| word.strip_prefix(name));
    found.unwrap_or("0").parse().unwrap()
}
