//! What budgets promise: taken whole or not at all, never larger than they are, and shared by every
//! server of a store.

use std::time::{Duration, Instant};

use crate::store::Store;
use crate::store::budget::{Budget, Reservation};
use crate::store::error::Error;
use crate::store::tests::{deadline, place};

fn budget(subject: u8, ends: u64, most: u32) -> Budget {
    Budget {
        subjects: vec![[subject; 32]],
        ends,
        most,
    }
}

#[test]
fn a_budget_is_taken_whole_or_not_at_all_and_can_be_given_back() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let reserve = |budgets: &[Budget]| {
        let reserved = store.reserve(deadline(), budgets.to_vec(), 100);
        reserved.wait().unwrap()
    };
    let (card, caller) = (budget(1, 200, 2), budget(2, 160, 3));
    assert_eq!(reserve(&[card.clone(), caller.clone()]), Reservation::Taken);
    assert_eq!(reserve(&[card.clone(), caller.clone()]), Reservation::Taken);
    // The card's is used up, and the caller's is not touched by the refusal.
    for _ in 0..5 {
        assert_eq!(
            reserve(&[card.clone(), caller.clone()]),
            Reservation::Refused
        );
    }
    assert_eq!(reserve(std::slice::from_ref(&caller)), Reservation::Taken);
    assert_eq!(reserve(std::slice::from_ref(&caller)), Reservation::Refused);
    let back = store.give_back(deadline(), vec![card.clone(), caller.clone()], 100);
    back.wait().unwrap();
    assert_eq!(reserve(&[card.clone(), caller.clone()]), Reservation::Taken);
    assert_eq!(reserve(std::slice::from_ref(&card)), Reservation::Refused);
    // Another day is another budget, and what is over is cleared away.
    assert_eq!(reserve(&[budget(1, 400, 2)]), Reservation::Taken);
    let later = store.reserve(deadline(), vec![budget(1, 500, 1)], 401);
    assert_eq!(later.wait().unwrap(), Reservation::Taken);
    let rows: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM budget", [], |row| row.get(0))
        .unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn what_is_given_back_never_makes_a_budget_larger() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let card = budget(1, 200, 1);
    for _ in 0..3 {
        let back = store.give_back(deadline(), vec![card.clone()], 100);
        back.wait().unwrap();
    }
    let reserve = || {
        store
            .reserve(deadline(), vec![card.clone()], 100)
            .wait()
            .unwrap()
    };
    assert_eq!(reserve(), Reservation::Taken);
    assert_eq!(reserve(), Reservation::Refused);
}

#[test]
fn three_servers_on_one_store_admit_one_budget_and_not_three() {
    let (_folder, path) = place();
    // `PINTLE_GUESSES=10000` for the whole attack.
    let guesses = std::env::var("PINTLE_GUESSES").map_or(600, |text| text.parse().unwrap());
    let servers: Vec<_> = (0..3).map(|_| Store::open(&path).unwrap()).collect();
    let card = budget(9, 200, 5);
    let attack = |store: &Store| {
        // Many at a time, as an attacker would have it.
        let mut admitted = 0;
        for _ in 0..guesses / 3 / 20 {
            let tries: Vec<_> = (0..20)
                .map(|_| store.reserve(deadline(), vec![card.clone()], 100))
                .collect();
            let tries = tries.into_iter().map(|one| one.wait().unwrap());
            admitted += tries.filter(|one| *one == Reservation::Taken).count();
        }
        admitted
    };
    let admitted: usize = std::thread::scope(|scope| {
        let attacks: Vec<_> = servers
            .iter()
            .map(|store| scope.spawn(|| attack(store)))
            .collect();
        let attacks = attacks.into_iter();
        attacks.map(|attack| attack.join().unwrap()).sum()
    });
    assert_eq!(admitted, 5);
}

#[test]
fn budgets_are_answered_also_when_the_writer_is_busy_beyond_their_time() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    // Another process holds the file for longer than this call may wait.
    let mut other = rusqlite::Connection::open(&path).unwrap();
    let held = other
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    let soon = Instant::now() + Duration::from_millis(100);
    let refused = store.reserve(soon, vec![budget(1, 200, 1)], 100).wait();
    assert!(matches!(refused, Err(Error::Deadline)));
    drop(held);
    // What waited is not taken after its time, and the next one is answered.
    let reserved = store.reserve(deadline(), vec![budget(1, 200, 1)], 100);
    assert_eq!(reserved.wait().unwrap(), Reservation::Taken);
}

#[test]
fn the_highest_count_of_a_budgets_names_holds_and_all_are_raised_to_it() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let by = |names: &[u8]| {
        let card = Budget {
            subjects: names.iter().map(|name| [*name; 32]).collect(),
            ends: 200,
            most: 5,
        };
        let reserved = store.reserve(deadline(), vec![card], 100);
        reserved.wait().unwrap()
    };
    // Two tries by one token alone, while the other was away.
    assert_eq!(
        (by(&[2]), by(&[2])),
        (Reservation::Taken, Reservation::Taken)
    );
    // With both at hand the first learns of them, whichever comes first.
    assert_eq!(by(&[1, 2]), Reservation::Taken);
    // And takes over where the other left off: two are left.
    assert_eq!(
        (by(&[1]), by(&[1])),
        (Reservation::Taken, Reservation::Taken)
    );
    assert_eq!(by(&[1]), Reservation::Refused);
    assert_eq!(by(&[2, 1]), Reservation::Refused, "the highest holds");
    assert_eq!(by(&[2]), Reservation::Taken);
}
