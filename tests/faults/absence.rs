//! The token's folder is taken away under load and put back; and another token comes in its place.

use std::time::{Duration, Instant};

use tonic::Code;

use crate::Extent;
use crate::figures::Figures;
use crate::load::{Kind, Load, Outcome, ask, quantile, refused_share};
use crate::site::{Served, Site, reasons, rename};

/// NOT_SERVING within this time of the token's going.
const NOTICED: Duration = Duration::from_secs(2);
/// Serving within this time of its return.
const BACK: Duration = Duration::from_secs(5);
/// What a refusal takes meanwhile (its median: the machine has other work).
const REFUSED: Duration = Duration::from_millis(5);

pub fn goes_and_comes(extent: Extent, figures: &mut Figures) {
    let (cycles, away) = match extent {
        Extent::Short => (2, Duration::from_secs(4)),
        Extent::Full => (50, Duration::from_secs(30)),
    };
    cycle(&Site::new(), "tokens", cycles, away, figures);
}

fn cycle(site: &Site, folder: &str, cycles: u32, away: Duration, figures: &mut Figures) {
    let served = site.serve();
    runtime().block_on(async {
        let client = served.client().await;
        let mut health = served.health().await;
        health.until(true, BACK).await;
        let (mut noticed, mut back, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..cycles {
            let load = Load::start(&client);
            tokio::time::sleep(Duration::from_secs(1)).await;
            rename(site.folder.path(), folder, "away");
            let gone = Instant::now();
            noticed.push(health.until(false, NOTICED).await);
            let known = Instant::now();
            tokio::time::sleep(away.saturating_sub(gone.elapsed())).await;
            rename(site.folder.path(), "away", folder);
            let returned = Instant::now();
            back.push(health.until(true, BACK).await);
            let serving = Instant::now();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let outcomes = load.stop().await;
            judge(
                &served,
                &outcomes,
                [gone, known, returned, serving],
                &mut refusals,
            );
        }
        let median = quantile(refusals.clone(), 500);
        assert!(median <= REFUSED, "a refusal takes {median:?}");
        figures.note("absences", cycles);
        figures.worst("not serving after", &noticed);
        figures.note("refused in (median)", format!("{} µs", median.as_micros()));
        figures.note(
            "refused in (p95)",
            format!("{} µs", quantile(refusals, 950).as_micros()),
        );
        figures.worst("serving after its return", &back);
    });
}

/// Calls before and after are answered; those that need the token are refused UNAVAILABLE meanwhile, and
/// nothing else goes wrong; those that do not are answered throughout.
fn judge(
    served: &Served<'_>,
    outcomes: &[Outcome],
    [gone, known, returned, serving]: [Instant; 4],
    refusals: &mut Vec<Duration>,
) {
    let among = |of: &dyn Fn(&Outcome) -> bool| -> Vec<Outcome> {
        outcomes
            .iter()
            .filter(|outcome| of(outcome))
            .cloned()
            .collect()
    };
    let quiet =
        among(&|o| o.scheduled + Duration::from_millis(100) < gone || o.scheduled > serving);
    assert!(
        refused_share(&quiet) == 0.0,
        "{:?}\n{}",
        reasons(&quiet),
        served.log()
    );
    let refused = among(&|o| o.refused.is_some());
    let only = refused
        .iter()
        .all(|o| o.refused.as_ref().unwrap().0 == Code::Unavailable);
    assert!(only, "{:?}", reasons(&refused));
    let hot = among(&|o| o.kind == Kind::Hot);
    // A hot key may have been displaced by the cold ones at that very moment.
    assert!(refused_share(&hot) < 0.5, "{:?}", reasons(&hot));
    let meanwhile =
        among(&|o| o.kind.needs_token() && o.scheduled > known && o.scheduled < returned);
    let signing = meanwhile.iter().filter(|o| o.kind == Kind::Sign);
    assert!(signing.clone().count() > 0 && signing.clone().all(|o| o.refused.is_some()));
    let refused = meanwhile.iter().filter(|o| o.refused.is_some());
    refusals.extend(refused.map(|o| o.took));
}

pub fn is_made_anew(_: Extent, figures: &mut Figures) {
    remake(figures, "made anew", |_| {});
}

/// With master keys on it that have the right labels and are another store's.
pub fn is_made_anew_for_another_store(_: Extent, figures: &mut Figures) {
    remake(
        figures,
        "made anew for another store",
        Site::prepare_another_store,
    );
}

fn remake(figures: &mut Figures, name: &str, then: impl FnOnce(&Site)) {
    let site = Site::new();
    let served = site.serve();
    runtime().block_on(async {
        let client = served.client().await;
        let mut health = served.health().await;
        health.until(true, BACK).await;
        let load = Load::start(&client);
        tokio::time::sleep(Duration::from_millis(500)).await;
        let made = site
            .program("softhsm2-util")
            .args([
                "--init-token",
                "--token",
                "pintle-faults",
                "--label",
                "pintle-faults",
            ])
            .args(["--so-pin", "so.pin-12345", "--pin", "user.pin-12345"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let noticed = health.until(false, NOTICED).await;
        then(&site);
        let objects = site.objects();
        tokio::time::sleep(Duration::from_secs(4)).await;
        let outcomes = load.stop().await;
        assert!(!health.serves().await, "{}", served.log());
        let why = served.said(&["initialised anew"]) || served.said(&["made anew"]);
        assert!(why, "{}", served.log());
        // Whatever kind of call it is, open keys too.
        for (number, kind) in [Kind::Hot, Kind::Cold, Kind::Sign, Kind::Random]
            .into_iter()
            .enumerate()
        {
            let number = u32::try_from(number).unwrap();
            assert!(
                ask(&client, kind, number).await.is_err(),
                "{kind:?}\n{}",
                served.log()
            );
        }
        figures.worst(&format!("{name}, refused after"), &[noticed]);
        assert_eq!(site.objects(), objects, "a key was made");
        drop(outcomes);
    });
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}
