//! Every session and the login are forgotten under load; and a signature comes out wrong.

use std::time::{Duration, Instant};

use tonic::Code;

use crate::Extent;
use crate::absence::runtime;
use crate::figures::Figures;
use crate::load::{Kind, Load, ask, refused_share};
use crate::site::{Site, reasons};

/// Of all calls of the run.
const REFUSED_SHARE: f64 = 0.001;
/// From the loss to the last call that it cost, and to the next that the token answers.
const BACK: Duration = Duration::from_secs(1);

pub fn are_forgotten(extent: Extent, figures: &mut Figures) {
    let times = match extent {
        Extent::Short => 2,
        Extent::Full => 20,
    };
    let (site, shim) = Site::with_shim();
    let served = site.serve();
    runtime().block_on(async {
        let client = served.client().await;
        served
            .health()
            .await
            .until(true, Duration::from_secs(5))
            .await;
        let (mut calls, mut refused, mut back) = (0, 0, Vec::new());
        for _ in 0..times {
            let load = Load::start(&client);
            tokio::time::sleep(Duration::from_secs(2)).await;
            let lost: usize = shim.tell("forget").parse().unwrap();
            let forgotten = Instant::now();
            assert!(lost >= 3, "only {lost} sessions were open");
            tokio::time::sleep(Duration::from_secs(2)).await;
            let outcomes = load.stop().await;
            let share = refused_share(&outcomes);
            assert!(
                share <= REFUSED_SHARE,
                "{share}: {:?}\n{}",
                reasons(&outcomes),
                served.log()
            );
            calls += outcomes.len();
            refused += outcomes
                .iter()
                .filter(|outcome| outcome.refused.is_some())
                .count();
            let answered = outcomes.iter().filter(|outcome| {
                let after = outcome.scheduled > forgotten && outcome.refused.is_none();
                after && outcome.kind.needs_token()
            });
            let first = answered
                .map(|o| o.scheduled + o.took - forgotten)
                .min()
                .unwrap();
            let last = outcomes.iter().filter(|o| o.refused.is_some());
            let last = last.map(|o| (o.scheduled + o.took).saturating_duration_since(forgotten));
            let cost = last.max().unwrap_or_default().max(first);
            assert!(cost <= BACK, "{cost:?}");
            back.push(cost);
        }
        figures.note("session losses", times);
        figures.note("calls refused over them", format!("{refused} of {calls}"));
        figures.worst("back after", &back);
    });
}

pub fn a_spoiled_signature_stays(_: Extent, figures: &mut Figures) {
    let (site, shim) = Site::with_shim();
    let served = site.serve();
    runtime().block_on(async {
        let client = served.client().await;
        ask(&client, Kind::Sign, 0).await.unwrap();
        ask(&client, Kind::Sign, 16).await.unwrap();
        shim.tell("flip");
        let mut kept = 0;
        for number in 0..20 {
            let refused = match ask(&client, Kind::Sign, number * 16).await {
                Err(pintle::client::Error::Refused(refused)) => refused,
                other => panic!("{other:?}\n{}", served.log()),
            };
            assert_eq!(refused.code, Code::Internal, "{refused:?}");
            kept += 1;
        }
        shim.tell("release");
        ask(&client, Kind::Sign, 0).await.unwrap();
        // A signature that lies is not a token that is away.
        ask(&client, Kind::Random, 0).await.unwrap();
        assert!(!served.said(&["does not serve"]), "{}", served.log());
        figures.note("spoiled signatures released", format!("0 of {kept}"));
    });
}
