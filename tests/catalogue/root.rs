//! Somebody writes the store with rows that the token did seal: puts an old one back, takes one
//! away, moves or copies one. Each is refused and named, whether the service was down meanwhile or
//! ran on, and all other keys are served.

use pintle::keys::act::Act;
use pintle::keys::attributes::State;
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::error::{CatalogueFault, Error, Refusal};
use pintle::keys::key_ref::{KeyName, NamedKey};
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::keys::policy::CallerScope;
use pintle::store::Store;
use rusqlite::params;

use crate::desk::{Desk, named, refusal, soon, tenant};
use crate::place::Place;

const KEY: &str = "tpk-pos-0001";
const OTHER: &str = "zpk-acquirer-aes";

/// What is done to the file while the service is down, or behind its back.
type Deed = fn(&Desk, &Before);

/// The row as it was in an earlier state that was valid then.
struct Before {
    header: Vec<u8>,
    seals: Vec<u8>,
    tag: Vec<u8>,
}

pub fn a_row_put_back_is_refused_and_named(place: &Place) {
    let put_back: Deed = |desk, before| {
        let sql = "UPDATE key_record SET header = ?2, seals = ?3 WHERE name = ?1";
        execute(desk, sql, params![KEY, before.header, before.seals]);
    };
    found_down_and_running(place, put_back, Refusal::RowDiffers);
}

pub fn a_row_taken_away_is_refused_and_named(place: &Place) {
    let take_away: Deed = |desk, _| {
        execute(desk, "DELETE FROM key_record WHERE name = ?1", params![KEY]);
    };
    found_down_and_running(place, take_away, Refusal::RowMissing);
}

pub fn a_row_moved_to_another_tenant_is_refused_and_named_in_both(place: &Place) {
    let sql = "UPDATE key_record SET tenant = 'other' WHERE name = ?1";
    moved(place, sql, "other", KEY);
}

pub fn a_row_that_was_renamed_is_refused_and_named_by_both_names(place: &Place) {
    let sql = "UPDATE key_record SET name = 'renamed' WHERE name = ?1";
    moved(place, sql, "default", "renamed");
}

pub fn two_rows_with_their_seals_swapped_are_refused_and_named(place: &Place) {
    let swap: Deed = |desk, _| {
        let sql = "UPDATE key_record SET seals =
            (SELECT seals FROM key_record WHERE name = 'tak-pos-0001') WHERE name = ?1";
        execute(desk, sql, params![KEY]);
    };
    found_down_and_running(place, swap, Refusal::RowDiffers);
}

pub fn a_twin_that_was_slipped_in_is_named_and_does_not_exist(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let running = desk.fresh();
    let sql = "INSERT INTO key_record SELECT tenant, name, 2, header, seals, changed_generation
               FROM key_record WHERE name = ?1";
    execute(&desk, sql, params![KEY]);
    let down = desk.fresh();
    let findings = down.findings();
    let [finding] = findings.named.as_slice() else {
        panic!("{findings}");
    };
    assert_eq!((finding.id.name.as_str(), finding.id.version), (KEY, 2));
    assert_eq!(finding.why, Refusal::RowUnknown);
    for catalogue in [&running, &down] {
        let error = refusal(desk.resolve_version(catalogue, KEY, 2));
        assert!(matches!(error, Error::UnknownKey), "{error}");
        assert_eq!(desk.refused(catalogue), [KEY]);
        assert!(
            desk.resolve(catalogue, KEY).is_ok(),
            "the true one is served"
        );
    }
}

pub fn a_directory_put_back_with_its_row_leaves_nothing_to_rely_on(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let before = disabled(&desk);
    let running = desk.fresh();
    let sql = "UPDATE key_record SET header = ?2, seals = ?3 WHERE name = ?1";
    execute(&desk, sql, params![KEY, before.header, before.seals]);
    let sql = "UPDATE directory SET tag = ?2 WHERE name = ?1";
    execute(&desk, sql, params![KEY, before.tag]);
    let sql = "DELETE FROM key_record WHERE name = ?1";
    execute(&desk, sql, params![OTHER]);
    let error = refused_whole(&desk);
    let CatalogueFault::SumDiffers(findings) = &error else {
        panic!("{error}");
    };
    assert_eq!(findings.named[0].id.name, OTHER, "what differs is named");
    // Who has an index of before is not deceived.
    let error = refusal(desk.resolve(&running, KEY));
    assert_eq!(named(&error), Some((KEY, Refusal::RowDiffers)));
}

pub fn a_directory_alone_that_was_edited_changes_nothing(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let running = desk.fresh();
    execute(&desk, "UPDATE directory SET tag = zeroblob(16)", params![]);
    for catalogue in [&running, &desk.fresh()] {
        assert!(desk.resolve(catalogue, KEY).is_ok());
        assert!(catalogue.findings().is_empty());
    }
}

pub fn a_root_that_is_not_the_tokens_is_refused_bit_by_bit(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    for (column, bytes) in [("mac", 32), ("sum", 32), ("nonce", 16), ("index_key", 32)] {
        let sql = format!("SELECT {column} FROM root");
        let value: Vec<u8> = desk.file().query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(value.len(), bytes);
        let write = format!("UPDATE root SET {column} = ?1");
        for bit in [0, 100] {
            let mut flipped = value.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            execute(&desk, &write, params![flipped]);
            assert_eq!(refused_whole(&desk), CatalogueFault::RootForged, "{column}");
        }
        execute(&desk, &write, params![value]);
    }
    for column in ["generation", "count"] {
        execute(
            &desk,
            &format!("UPDATE root SET {column} = {column} + 1"),
            params![],
        );
        assert_eq!(refused_whole(&desk), CatalogueFault::RootForged, "{column}");
        execute(
            &desk,
            &format!("UPDATE root SET {column} = {column} - 1"),
            params![],
        );
    }
    assert!(desk.resolve(&desk.fresh(), KEY).is_ok());
    execute(&desk, "DELETE FROM root", params![]);
    assert_eq!(refused_whole(&desk), CatalogueFault::RootMissing);
}

pub fn a_change_that_no_root_vouches_for_is_refused_and_the_rest_served(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let before = disabled(&desk);
    let running = desk.fresh();
    assert!(desk.resolve(&running, OTHER).is_ok());
    // As a writer would do it who has no token.
    let sql = "UPDATE key_record SET header = ?2, seals = ?3,
               changed_generation = changed_generation + 1 WHERE name = ?1";
    execute(&desk, sql, params![KEY, before.header, before.seals]);
    execute(
        &desk,
        "UPDATE root SET generation = generation + 1",
        params![],
    );
    desk.runtime.block_on(running.poll()).unwrap();
    let error = refusal(desk.resolve(&running, KEY));
    assert_eq!(named(&error), Some((KEY, Refusal::ChangeUnproved)));
    assert!(desk.resolve(&running, OTHER).is_ok());
    assert_eq!(running.fault(), None);
    assert_eq!(refused_whole(&desk), CatalogueFault::RootForged);
    // Nor is anything written over it.
    let error = refusal(set(&desk, &running, OTHER, State::Disabled));
    assert!(matches!(error, Error::StoreUnavailable(_)), "{error}");
}

pub fn a_change_hidden_from_a_running_service_stops_every_key(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let running = desk.fresh();
    for name in [KEY, OTHER] {
        assert!(desk.resolve(&running, name).is_ok());
    }
    let before = disabled(&desk);
    // The revocation is undone, and hidden; the root cannot be.
    let sql = "UPDATE key_record SET header = ?2, seals = ?3, changed_generation = 0
               WHERE name = ?1";
    execute(&desk, sql, params![KEY, before.header, before.seals]);
    let sql = "UPDATE directory SET tag = ?2 WHERE name = ?1";
    execute(&desk, sql, params![KEY, before.tag]);
    desk.runtime.block_on(running.poll()).unwrap();
    let fault = running.fault().unwrap();
    assert!(
        matches!(fault, CatalogueFault::Unexplained { .. }),
        "{fault}"
    );
    for name in [KEY, OTHER] {
        let error = refusal(desk.resolve(&running, name));
        assert!(matches!(error, Error::CatalogueRefused(_)), "{error}");
    }
}

pub fn a_row_put_back_before_the_next_poll_is_refused_and_the_rest_served(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let running = desk.fresh();
    let before = disabled(&desk);
    let sql = "UPDATE key_record SET header = ?2, seals = ?3 WHERE name = ?1";
    execute(&desk, sql, params![KEY, before.header, before.seals]);
    desk.runtime.block_on(running.poll()).unwrap();
    let error = refusal(desk.resolve(&running, KEY));
    assert_eq!(named(&error), Some((KEY, Refusal::RowDiffers)));
    assert!(desk.resolve(&running, OTHER).is_ok());
    assert_eq!(running.fault(), None);
}

pub fn a_whole_store_put_back_under_a_running_service_stops_every_key(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let copy = place.folder.join("copy.db");
    let sql = format!("VACUUM INTO '{}'", copy.display());
    desk.file().execute_batch(&sql).unwrap();
    disabled(&desk);
    let running = desk.fresh();
    assert!(desk.resolve(&running, OTHER).is_ok(), "hot");
    let mut put_back = format!("ATTACH '{}' AS old; BEGIN;", copy.display());
    for table in ["root", "key_record", "directory"] {
        put_back.push_str(&format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} SELECT * FROM old.{table};"
        ));
    }
    desk.file().execute_batch(&(put_back + "COMMIT;")).unwrap();
    desk.runtime.block_on(running.poll()).unwrap();
    let fault = running.fault().unwrap();
    assert!(matches!(fault, CatalogueFault::WentBack { .. }), "{fault}");
    for name in [KEY, OTHER] {
        let error = refusal(desk.resolve(&running, name));
        assert!(matches!(error, Error::CatalogueRefused(_)), "{error}");
    }
    let error = refusal(set(&desk, &running, OTHER, State::Disabled));
    assert!(matches!(error, Error::CatalogueRefused(_)), "{error}");
}

pub fn many_writers_at_once_leave_a_root_that_vouches_for_all(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let names = [KEY, OTHER, "tak-pos-0001", "zak-acquirer"];
    let catalogues = names.map(|_| desk.fresh());
    for (round, to) in [
        (1, State::Disabled),
        (2, State::Active),
        (3, State::Disabled),
    ] {
        desk.runtime.block_on(async {
            let tenant = tenant();
            let keys = names.map(|name| KeyName::parse(name).unwrap());
            let operator = Act::operator();
            let version = |at: usize| VersionOf {
                tenant: &tenant,
                name: &keys[at],
                version: 1,
            };
            let (a, b, c, d) = tokio::join!(
                lifecycle::set_state(&catalogues[0], version(0), to, &operator),
                lifecycle::set_state(&catalogues[1], version(1), to, &operator),
                lifecycle::set_state(&catalogues[2], version(2), to, &operator),
                lifecycle::set_state(&catalogues[3], version(3), to, &operator),
            );
            for header in [a, b, c, d] {
                assert_eq!(header.unwrap().state_epoch, round);
            }
        });
        let fresh = desk.fresh();
        assert!(fresh.findings().is_empty(), "{}", fresh.findings());
        for catalogue in &catalogues {
            desk.runtime.block_on(catalogue.poll()).unwrap();
            assert_eq!(catalogue.stats().generation, fresh.stats().generation);
            assert_eq!(catalogue.stats().records, fresh.stats().records);
        }
    }
}

/// Does the deed to a store whose key was disabled, first under a service that runs and has not
/// opened the key, then looks with one that starts.
fn found_down_and_running(place: &Place, deed: Deed, why: Refusal) {
    let desk = Desk::with_dev_keys(place);
    let before = disabled(&desk);
    let running = desk.fresh();
    deed(&desk, &before);
    desk.runtime.block_on(running.poll()).unwrap();
    let down = desk.fresh();
    let findings = down.findings();
    let [finding] = findings.named.as_slice() else {
        panic!("{findings}");
    };
    assert_eq!((finding.id.name.as_str(), finding.why), (KEY, why));
    for catalogue in [&running, &down] {
        let error = refusal(desk.resolve(catalogue, KEY));
        assert_eq!(named(&error), Some((KEY, why)));
        assert!(desk.resolve(catalogue, OTHER).is_ok(), "others are served");
        let error = refusal(set(&desk, catalogue, KEY, State::Active));
        assert_eq!(named(&error), Some((KEY, why)), "nor is it built upon");
    }
    // And the rest can still be changed.
    set(&desk, &down, OTHER, State::Disabled).unwrap();
    assert_eq!(desk.fresh().findings().named.len(), 1);
}

fn moved(place: &Place, sql: &str, new_tenant: &str, new_name: &str) {
    let desk = Desk::with_dev_keys(place);
    let running = desk.fresh();
    execute(&desk, sql, params![KEY]);
    let down = desk.fresh();
    let found: Vec<_> = down.findings().named;
    let find = |why| {
        let finding = found.iter().find(|finding| finding.why == why).unwrap();
        (finding.id.tenant.as_str(), finding.id.name.as_str())
    };
    assert_eq!(found.len(), 2);
    assert_eq!(find(Refusal::RowMissing), ("default", KEY));
    assert_eq!(find(Refusal::RowUnknown), (new_tenant, new_name));
    for catalogue in [&running, &down] {
        let error = refusal(desk.resolve(catalogue, KEY));
        assert_eq!(named(&error), Some((KEY, Refusal::RowMissing)));
        let scope = CallerScope::new(new_tenant, ["*"]).unwrap();
        let key = NamedKey::parse(new_name, 0).unwrap();
        let there = desk
            .runtime
            .block_on(catalogue.resolve(&scope, &key, soon()));
        let error = refusal(there);
        assert!(matches!(error, Error::UnknownKey), "{error}");
        assert!(desk.resolve(catalogue, OTHER).is_ok());
    }
}

/// Disables the key, and answers its row as it was before.
fn disabled(desk: &Desk) -> Before {
    let sql = "SELECT header, seals, tag FROM key_record JOIN directory USING (tenant, name)
               WHERE name = ?1";
    let before = desk.file().query_row(sql, [KEY], |row| {
        Ok(Before {
            header: row.get(0)?,
            seals: row.get(1)?,
            tag: row.get(2)?,
        })
    });
    set(desk, &desk.catalogue, KEY, State::Disabled).unwrap();
    before.unwrap()
}

fn set(desk: &Desk, catalogue: &Catalogue, name: &str, to: State) -> Result<(), Error> {
    let name = KeyName::parse(name).unwrap();
    let (tenant, operator) = (tenant(), Act::operator());
    let version = VersionOf {
        tenant: &tenant,
        name: &name,
        version: 1,
    };
    let set = lifecycle::set_state(catalogue, version, to, &operator);
    desk.runtime.block_on(set).map(drop)
}

/// Why a service that starts refuses the whole catalogue.
fn refused_whole(desk: &Desk) -> CatalogueFault {
    let store = Store::open(&desk.path).unwrap();
    let options = CatalogueOptions::new(pintle::keys::attributes::Environment::Test);
    match refusal(Catalogue::open(store, desk.token.clone(), options)) {
        Error::CatalogueRefused(fault) => fault,
        error => panic!("{error}"),
    }
}

fn execute(desk: &Desk, sql: &str, values: &[&dyn rusqlite::ToSql]) {
    desk.file().execute(sql, values).unwrap();
}
