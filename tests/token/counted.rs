//! What an operator reads of a token that fares badly.

use std::time::{Duration, Instant};

use pintle::hsm::{Standing, Token, write_series};
use pintle::secret::Secret;
use pintle::series::Text;

use crate::place::{LABEL, Place, refusal, soon};

pub fn what_befalls_a_token_is_counted(place: &Place) {
    let token = place.token();
    let clear = Secret::new(b"clear".to_vec());
    let sealed = token.seal(soon(), Vec::new(), clear).wait().unwrap();
    let unseal = || token.unseal(soon(), Vec::new(), sealed.clone()).wait();
    let mut tampered = sealed.clone();
    tampered.bytes[0] ^= 1;
    for _ in 0..3 {
        let refused = token.unseal(soon(), Vec::new(), tampered.clone()).wait();
        refusal(refused);
        unseal().unwrap();
    }
    // A worker answers first and counts then.
    until("each call is counted", || {
        errors(&token, "request") == 3
            && read(&token, "_call_seconds_count", ",function=\"unseal\"") == 6
            && read(&token, "_wait_seconds_count", ",class=\"symmetric\"") == 7
    });
    assert_eq!(read(&token, "_breaker", ",state=\"closed\""), 1);

    place.attacker().session.logout().unwrap();
    unseal().unwrap();
    assert!(read(&token, "_cured_total", ",by=\"login\"") >= 1);
    assert_eq!(read(&token, "_breaker_openings_total", ""), 0);

    place.hide();
    until("it is away", || {
        let _ = token.probe(soon()).wait();
        !matches!(token.standing(), Standing::Serving)
    });
    let before = errors(&token, "unavailable");
    for _ in 0..5 {
        refusal(unseal());
    }
    // The call that opened it may be counted by now.
    assert!(errors(&token, "unavailable") >= before + 5);
    let states = ["closed", "half_open", "open", "refusing"];
    let at = |state: &str| read(&token, "_breaker", &format!(",state=\"{state}\""));
    assert_eq!(at("closed"), 0);
    // A probe may begin between two readings; one reading has one state.
    let text = text(&token);
    let count = states.map(|state| value(&text, "_breaker", &format!(",state=\"{state}\"")));
    assert_eq!(count.into_iter().flatten().sum::<u64>(), 1, "{text}");
    place.show();
    until("it serves", || {
        matches!(token.standing(), Standing::Serving)
    });
    unseal().unwrap();
    assert_eq!(at("closed"), 1);
    assert_eq!(read(&token, "_breaker_openings_total", ""), 1);
    let recoveries = |by| read(&token, "_recoveries_total", &format!(",by=\"{by}\""));
    assert_eq!((recoveries("light"), recoveries("heavy")), (0, 1));
    assert!(read(&token, "_epoch", ",of=\"initialization\"") >= 2);
}

fn errors(token: &Token, class: &str) -> u64 {
    read(token, "_errors_total", &format!(",class=\"{class}\""))
}

fn read(token: &Token, series: &str, labels: &str) -> u64 {
    let text = text(token);
    value(&text, series, labels).unwrap_or_else(|| panic!("{series}{labels}\n{text}"))
}

fn text(token: &Token) -> String {
    let mut text = Text::new();
    write_series(std::slice::from_ref(token), &mut text);
    text.into_string()
}

fn value(text: &str, series: &str, labels: &str) -> Option<u64> {
    let start = format!("pintle_token{series}{{token=\"{LABEL}\"{labels}}} ");
    text.lines()
        .find_map(|line| line.strip_prefix(&start)?.parse().ok())
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
