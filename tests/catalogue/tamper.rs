//! Somebody writes the store: every row that is not what the token sealed is refused, and named.

use pintle::hsm::{Module, Token, TokenConfig};
use pintle::keys::act::Act;
use pintle::keys::attributes::{Environment, State};
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::error::{CatalogueFault, Error, Refusal};
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::secret::Secret;
use pintle::store::{Store, seals};
use rusqlite::params;

use crate::desk::{Desk, named, open, refusal, tenant};
use crate::oracle::vouch_for_what_is_there;
use crate::place::{Kind, Place, SO_PIN};

/// One of each residence.
const NAMES: [&str; 2] = ["tpk-pos-0001", "alipay-app-rsa2"];

pub fn the_store_copied_to_another_token_opens_nothing(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let config = TokenConfig {
        module: match place.kind {
            Kind::Embedded => Module::Embedded {
                dir: place.folder.join("other"),
            },
            Kind::SoftHsm => place.module(),
        },
        label: "another-token".to_owned(),
        ..place.config()
    };
    Token::initialize(&config, Some(&Secret::new(SO_PIN.to_owned()))).unwrap();
    let other = Token::open(&config).unwrap();
    let refused_whole = || {
        let store = Store::open(&desk.path).unwrap();
        let options = CatalogueOptions::new(Environment::Test);
        match refusal(Catalogue::open(store, other.clone(), options)) {
            Error::CatalogueRefused(fault) => fault,
            error => panic!("{error}"),
        }
    };
    assert_eq!(refused_whole(), CatalogueFault::RootMissing);
    // Not even when seals and root are made to name the other token.
    rename_seals(&desk, &other);
    desk.file()
        .execute("UPDATE root SET token_id = ?1", params![other.id().0])
        .unwrap();
    assert_eq!(refused_whole(), CatalogueFault::RootForged);
}

pub fn every_changed_header_byte_is_refused_and_named(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    // The others would only take time.
    desk.file()
        .execute("DELETE FROM key_record WHERE name NOT IN (?1, ?2)", NAMES)
        .unwrap();
    let file = desk.file();
    for name in NAMES {
        let header: Vec<u8> = file
            .query_row(
                "SELECT header FROM key_record WHERE name = ?1",
                [name],
                |row| row.get(0),
            )
            .unwrap();
        let write = |header: &[u8]| {
            file.execute(
                "UPDATE key_record SET header = ?2 WHERE name = ?1",
                params![name, header],
            )
            .unwrap();
        };
        for place in 0..header.len() {
            let mut changed = header.clone();
            changed[place] ^= 1 << (place % 8);
            write(&changed);
            assert_eq!(desk.refused(&desk.catalogue), [name], "byte {place}");
            if place % 16 == 0 {
                let error = refusal(desk.resolve(&desk.fresh(), name));
                assert_eq!(named(&error).unwrap().0, name);
                assert!(error.to_string().contains(name), "{error}");
            }
        }
        write(&header[..header.len() - 1]);
        assert_eq!(desk.refused(&desk.catalogue), [name]);
        write(&header);
        assert_eq!(desk.refused(&desk.catalogue), [""; 0]);
    }
}

pub fn two_rows_with_their_headers_swapped_are_refused_and_named(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    swap(&desk, "header");
    refused_both(&desk, Refusal::RowDiffers);
    vouch_for_what_is_there(&desk);
    refused_both(&desk, Refusal::RowMoved);
}

pub fn two_rows_with_their_seals_swapped_open_nothing_whatever_the_root_says(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    swap(&desk, "seals");
    vouch_for_what_is_there(&desk);
    refused_both(&desk, Refusal::NotAuthentic);
}

pub fn a_renamed_row_opens_nothing_whatever_the_root_says(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    for name in NAMES {
        let file = desk.file();
        let sql = "UPDATE key_record SET name = 'renamed' WHERE name = ?1";
        file.execute(sql, [name]).unwrap();
        vouch_for_what_is_there(&desk);
        let fresh = desk.fresh();
        let error = refusal(desk.resolve(&fresh, "renamed"));
        assert_eq!(named(&error), Some(("renamed", Refusal::RowMoved)));
        assert_eq!(desk.refused(&fresh), ["renamed"]);
        let sql = "DELETE FROM key_record WHERE name = 'renamed'";
        file.execute(sql, []).unwrap();
        vouch_for_what_is_there(&desk);
    }
}

pub fn two_whole_rows_swapped_are_refused_and_named(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    for column in ["header", "seals"] {
        swap(&desk, column);
    }
    refused_both(&desk, Refusal::RowDiffers);
    vouch_for_what_is_there(&desk);
    refused_both(&desk, Refusal::RowMoved);
}

pub fn an_old_row_put_back_over_a_new_seal_is_refused(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let name = KeyName::parse(NAMES[0]).unwrap();
    let file = desk.file();
    let header: Vec<u8> = file
        .query_row(
            "SELECT header FROM key_record WHERE name = ?1",
            [NAMES[0]],
            |row| row.get(0),
        )
        .unwrap();
    let tenant = tenant();
    let operator = Act::operator();
    let disabled = lifecycle::set_state(
        &desk.catalogue,
        VersionOf {
            tenant: &tenant,
            name: &name,
            version: 1,
        },
        State::Disabled,
        &operator,
    );
    assert_eq!(desk.runtime.block_on(disabled).unwrap().state_epoch, 1);
    file.execute(
        "UPDATE key_record SET header = ?2 WHERE name = ?1",
        params![NAMES[0], header],
    )
    .unwrap();
    let error = refusal(desk.resolve(&desk.fresh(), NAMES[0]));
    assert_eq!(named(&error), Some((NAMES[0], Refusal::RowDiffers)));
    vouch_for_what_is_there(&desk);
    let error = refusal(desk.resolve(&desk.fresh(), NAMES[0]));
    assert_eq!(named(&error), Some((NAMES[0], Refusal::NotAuthentic)));
}

pub fn keys_of_another_environment_are_refused(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let production = open(&desk.path, &desk.token, Environment::Production);
    for name in NAMES {
        let error = refusal(desk.resolve(&production, name));
        assert_eq!(named(&error), Some((name, Refusal::OtherEnvironment)));
    }
}

/// Makes every seal name another token, as if that one had made it.
fn rename_seals(desk: &Desk, other: &Token) {
    let file = desk.file();
    let mut read = file.prepare("SELECT name, seals FROM key_record").unwrap();
    let rows: Vec<(String, Vec<u8>)> = read
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for (name, blob) in rows {
        let mut list = seals::decode(&blob).unwrap();
        for seal in &mut list {
            seal.token_id = other.id().0;
            seal.seal_key_id = other.seal_key_id();
        }
        file.execute(
            "UPDATE key_record SET seals = ?2 WHERE name = ?1",
            params![name, seals::encode(&list).unwrap()],
        )
        .unwrap();
    }
}

fn swap(desk: &Desk, column: &str) {
    let file = desk.file();
    let read = |name: &str| -> Vec<u8> {
        file.query_row(
            &format!("SELECT {column} FROM key_record WHERE name = ?1"),
            [name],
            |row| row.get(0),
        )
        .unwrap()
    };
    let values = NAMES.map(read);
    for (name, value) in NAMES.iter().zip(values.iter().rev()) {
        file.execute(
            &format!("UPDATE key_record SET {column} = ?2 WHERE name = ?1"),
            params![name, value],
        )
        .unwrap();
    }
}

fn refused_both(desk: &Desk, expected: Refusal) {
    let fresh = desk.fresh();
    let mut refused = desk.refused(&fresh);
    refused.sort();
    let mut names = NAMES;
    names.sort_unstable();
    assert_eq!(refused, names);
    for name in NAMES {
        let error = refusal(desk.resolve(&fresh, name));
        assert_eq!(named(&error), Some((name, expected)));
    }
}
