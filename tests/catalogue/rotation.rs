//! Rotating `seal`: every record goes from the old key to the new while servers go on, and the old
//! key goes only when nothing is left under it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pintle::hsm::Token;
use pintle::keys::act::Act;
use pintle::keys::attributes::{Environment, State};
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::error::Error;
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::keys::rotation::{self, Rotated};
use pintle::store::Store;

use crate::desk::{Desk, dev_template, open, refusal, tenant};
use crate::place::Place;
use crate::tokens::{among, apply, enroll, mac, make_other, one_key};

const TAK: &str = "tak-pos-0001";
const RSA: &str = "alipay-app-rsa2";

pub fn a_server_under_load_goes_on_while_every_record_is_sealed_anew(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    // A token of its own, which nobody tells; and a cache of one key, so that records are opened.
    let token = Token::open(&place.config()).unwrap();
    let options = CatalogueOptions {
        open_keys_max: 1,
        ..CatalogueOptions::new(Environment::Test)
    };
    let store = Store::open(&desk.path).unwrap();
    let serving = Catalogue::open(store, token.clone(), options).unwrap();
    let poll = {
        let _runtime = desk.runtime.enter();
        serving.spawn_poll()
    };
    let before = mac(&desk, &serving, TAK);
    let (ended, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let first = token.seal_key_id();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) {
                    for spec in dev_template().keys() {
                        let opened = desk.resolve(&serving, spec.name.as_str());
                        let opened = opened.map(|_| calls.fetch_add(1, Ordering::Relaxed));
                        opened.unwrap_or_else(|error| panic!("{}: {error}", spec.name));
                    }
                }
            });
        }
        for _ in 0..3 {
            let done = rotate(&desk, &desk.catalogue, place);
            assert!(done.made && done.refused.is_empty());
            assert_eq!(done.written, dev_template().keys().len() as u64);
            let (current, older) = under(&desk, &desk.catalogue);
            assert_eq!((current, older), (done.written, 0));
            // Whoever has read a row by now has opened it.
            std::thread::sleep(Duration::from_millis(200));
            destroy(&desk, &desk.catalogue, place).unwrap();
            std::thread::sleep(Duration::from_millis(300));
        }
        ended.store(true, Ordering::Relaxed);
    });
    poll.abort();
    println!("{:?}: {calls:?} keys opened meanwhile", place.kind);
    assert!(calls.into_inner() > 100);
    assert_ne!(token.seal_key_id(), first, "it followed");
    assert_eq!(mac(&desk, &serving, TAK), before);
    assert_eq!(token.seal_key_id(), desk.token.seal_key_id());
}

pub fn a_rotation_that_was_killed_goes_on_with_the_key_it_made(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let made = Token::make_next_seal(&place.config()).unwrap();
    let all = dev_template().keys().len() as u64;
    let done = rotate(&desk, &desk.catalogue, place);
    assert!(!done.made, "the key that was made is used");
    assert_eq!((done.keys, done.written), (made, all));
    assert_eq!(under(&desk, &desk.catalogue), (all, 0));
    // The next is a rotation of its own.
    let next = rotate(&desk, &desk.catalogue, place);
    assert!(next.made);
    assert_eq!(next.keys.older.len(), 2);
}

pub fn a_seal_key_in_use_is_not_destroyed(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let all = dev_template().keys().len() as u64;
    Token::make_next_seal(&place.config()).unwrap();
    let error = refusal(destroy(&desk, &desk.catalogue, place));
    assert!(matches!(error, Error::SealKeyInUse { records, .. } if records == all));
    assert!(desk.resolve(&desk.fresh(), TAK).is_ok());
    // One record that is behind is enough.
    rotate(&desk, &desk.catalogue, place);
    let file = desk.file();
    let read = "SELECT seals FROM key_record WHERE name = ?1";
    let seals: Vec<u8> = file.query_row(read, [TAK], |row| row.get(0)).unwrap();
    rotate(&desk, &desk.catalogue, place);
    let write = "UPDATE key_record SET seals = ?2 WHERE name = ?1";
    file.execute(write, rusqlite::params![TAK, seals]).unwrap();
    let error = refusal(destroy(&desk, &desk.catalogue, place));
    assert!(
        matches!(error, Error::SealKeyInUse { records: 1, .. }),
        "{error}"
    );
    assert_eq!(desk.token.seal_keys().older.len(), 2, "none was destroyed");
}

pub fn who_was_not_told_writes_under_the_new_key_all_the_same(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let behind = Token::open(&place.config()).unwrap();
    let slow = open(&desk.path, &behind, Environment::Test);
    rotate(&desk, &desk.catalogue, place);
    let (new, old) = (desk.token.seal_key_id(), behind.seal_key_id());
    assert_ne!(old, new, "it has not looked");
    apply(&desk, &slow, &one_key("extra"));
    let all = dev_template().keys().len() as u64 + 1;
    assert_eq!(under(&desk, &desk.catalogue), (all, 0));
    destroy(&desk, &desk.catalogue, place).unwrap();
    assert!(desk.resolve(&desk.fresh(), "extra").is_ok());
    assert!(desk.resolve(&slow, "extra").is_ok());
}

pub fn keys_move_and_are_moved_during_a_rotation(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let moving = desk.fresh();
    let (name, tenant) = (KeyName::parse(TAK).unwrap(), tenant());
    let (version, act) = (
        VersionOf {
            tenant: &tenant,
            name: &name,
            version: 1,
        },
        Act::operator(),
    );
    let config = place.config();
    for state in [State::Disabled, State::Active, State::Disabled] {
        let (rotated, moved) = desk.runtime.block_on(async {
            tokio::join!(
                rotation::rotate_seal(&desk.catalogue, &config, &|_| ()),
                lifecycle::set_state(&moving, version, state, &act),
            )
        });
        assert!(rotated.unwrap().refused.is_empty());
        assert_eq!(moved.unwrap().state, state, "not undone by the rotation");
        let found = lifecycle::versions(&desk.catalogue, &tenant, &name);
        let found = desk.runtime.block_on(found).unwrap();
        assert_eq!(found[0].state, state);
        assert_eq!(under(&desk, &desk.catalogue).1, 0);
    }
}

pub fn rotating_one_tokens_key_leaves_the_others_seals(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let other = make_other(place);
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    enroll(&desk, &both, &other);
    let theirs = under_of(&desk, &both, &other);
    let before = mac(&desk, &both, TAK);
    rotate(&desk, &both, place);
    destroy(&desk, &both, place).unwrap();
    assert_eq!(under_of(&desk, &both, &other), theirs);
    let by_other = among(&desk, &other, &[]).unwrap();
    assert_eq!(mac(&desk, &by_other, TAK), before);
    assert_eq!(mac(&desk, &desk.fresh(), TAK), before);
    assert!(desk.resolve(&desk.fresh(), RSA).is_ok());
}

fn rotate(desk: &Desk, catalogue: &Catalogue, place: &Place) -> Rotated {
    let config = place.config();
    let done = rotation::rotate_seal(catalogue, &config, &|_| ());
    desk.runtime.block_on(done).unwrap()
}

fn destroy(desk: &Desk, catalogue: &Catalogue, place: &Place) -> Result<(), Error> {
    let config = place.config();
    let done = rotation::destroy_old_seals(catalogue, &config);
    desk.runtime.block_on(done).map(|_| ())
}

/// Records under the current seal key of the desk's token, and under others of it.
fn under(desk: &Desk, catalogue: &Catalogue) -> (u64, u64) {
    under_of(desk, catalogue, &desk.token)
}

fn under_of(desk: &Desk, catalogue: &Catalogue, token: &Token) -> (u64, u64) {
    let census = desk.runtime.block_on(rotation::census(catalogue)).unwrap();
    let own = census.iter().filter(|((id, _), _)| *id == token.id());
    let current = token.seal_key_id();
    own.fold((0, 0), |(now, before), ((_, key), records)| {
        if *key == current {
            (now + records, before)
        } else {
            (now, before + records)
        }
    })
}
