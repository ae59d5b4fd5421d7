//! Backups, restores, and the checkpoint by which a whole store put back is found.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pintle::hsm::{Module, Token, TokenConfig};
use pintle::keys::act::Act;
use pintle::keys::attributes::{Environment, State};
use pintle::keys::backup::{self, Verified};
use pintle::keys::catalogue::Catalogue;
use pintle::keys::checkpoint::Checkpoint;
use pintle::keys::error::{CatalogueFault, Error};
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::secret::Secret;

use crate::desk::{Desk, open, refusal, soon, tenant};
use crate::place::{Kind, Place, SO_PIN};

const KEY: &str = "tpk-pos-0001";
const OTHER: &str = "zpk-acquirer-aes";

pub fn a_backup_made_while_keys_change_is_whole_and_can_be_served(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let changing = desk.fresh();
    let enough = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&enough);
    let changes = desk.runtime.spawn(async move {
        let (tenant, name) = (tenant(), KeyName::parse(KEY).unwrap());
        let operator = Act::operator();
        for to in [State::Disabled, State::Active].into_iter().cycle() {
            let version = VersionOf {
                tenant: &tenant,
                name: &name,
                version: 1,
            };
            let set = lifecycle::set_state(&changing, version, to, &operator);
            set.await.unwrap();
            if to == State::Active && seen.load(Ordering::Relaxed) {
                break;
            }
        }
    });
    let mut made = Vec::new();
    while made.len() < 4 {
        let file = place.folder.join(format!("backup-{}", made.len()));
        made.push((back_up(&desk, &file).unwrap(), file));
        assert!(!changes.is_finished(), "keys change all the while");
    }
    enough.store(true, Ordering::Relaxed);
    desk.runtime.block_on(changes).unwrap();
    for (verified, file) in &made {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        assert_eq!(
            backup::verify(file, &desk.token, &|_| ()).unwrap(),
            *verified
        );
    }
    let (verified, file) = made.last().unwrap();
    let store = place.folder.join("restored.db");
    let restored = backup::restore(file, &store, &desk.token, &|_, _| (), &|_| ()).unwrap();
    assert_eq!(restored, *verified);
    let catalogue = open(&store, &desk.token, Environment::Test);
    assert_eq!(catalogue.stats().records, verified.records);
    assert!(desk.resolve(&catalogue, OTHER).is_ok());
    // What is restored can be changed and backed up again.
    set(&desk, &catalogue, OTHER, State::Disabled);
}

pub fn a_backup_of_a_store_that_was_edited_is_not_kept(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let sql = "DELETE FROM key_record WHERE name = ?1";
    desk.file().execute(sql, [KEY]).unwrap();
    let file = place.folder.join("backup");
    let error = refusal(back_up(&desk, &file));
    let Error::CatalogueRefused(CatalogueFault::RowsDiffer(findings)) = &error else {
        panic!("{error}");
    };
    assert_eq!(findings.named[0].id.name, KEY);
    assert!(!file.exists());
    desk.file().execute("DELETE FROM root", []).unwrap();
    assert!(back_up(&desk, &file).is_err());
    assert!(!file.exists());
}

pub fn nothing_is_written_over_and_nothing_bad_restored(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let file = place.folder.join("backup");
    std::fs::write(&file, "mine").unwrap();
    let error = refusal(back_up(&desk, &file));
    assert!(matches!(error, Error::StoreUnavailable(_)), "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    let good = place.folder.join("good");
    back_up(&desk, &good).unwrap();
    let restore = |from: &PathBuf, to: &PathBuf| {
        backup::restore(from, to, &desk.token, &|_, _| (), &|_| ()).map(drop)
    };
    let error = refusal(restore(&good, &desk.path));
    assert!(matches!(error, Error::StoreUnavailable(_)), "{error}");
    assert!(
        desk.resolve(&desk.fresh(), KEY).is_ok(),
        "the store is as it was"
    );
    let to = place.folder.join("restored.db");
    assert!(restore(&file, &to).is_err(), "no store at all");
    let bad = rusqlite::Connection::open(&good).unwrap();
    let sql = "UPDATE key_record SET header = substr(header, 1, 20) WHERE name = ?1";
    bad.execute(sql, [KEY]).unwrap();
    drop(bad);
    let error = refusal(restore(&good, &to));
    assert!(matches!(error, Error::CatalogueRefused(_)), "{error}");
    assert!(!to.exists());
}

pub fn a_store_older_than_its_checkpoint_is_refused(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let file = place.folder.join("backup");
    back_up(&desk, &file).unwrap();
    let first = checkpoint(&desk, &desk.catalogue);
    set(&desk, &desk.catalogue, KEY, State::Disabled);
    check(&desk, &first, &desk.catalogue).unwrap();
    let second = checkpoint(&desk, &desk.catalogue);
    assert_eq!(second.generation, first.generation + 1);
    check(&desk, &second, &desk.catalogue).unwrap();
    // The whole store is put back: only the checkpoint tells.
    let old = place.folder.join("old.db");
    backup::restore(&file, &old, &desk.token, &|_, _| (), &|_| ()).unwrap();
    let put_back = open(&old, &desk.token, Environment::Test);
    assert!(
        desk.resolve(&put_back, KEY).is_ok(),
        "as if it had not been disabled"
    );
    check(&desk, &first, &put_back).unwrap();
    let error = check(&desk, &second, &put_back).unwrap_err();
    let behind = CatalogueFault::BehindCheckpoint {
        checkpoint: second.generation,
        found: first.generation,
    };
    assert!(
        matches!(&error, Error::CatalogueRefused(fault) if *fault == behind),
        "{error}"
    );
    // Brought to the same age by another change it is another store still.
    set(&desk, &put_back, OTHER, State::Disabled);
    let error = check(&desk, &second, &put_back).unwrap_err();
    let other = CatalogueFault::NotTheCheckpoints {
        generation: second.generation,
    };
    assert!(
        matches!(&error, Error::CatalogueRefused(fault) if *fault == other),
        "{error}"
    );
}

pub fn a_checkpoint_that_the_token_did_not_sign_is_refused(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let good = checkpoint(&desk, &desk.catalogue);
    let path = place.folder.join("checkpoint.json");
    std::fs::write(&path, good.text().unwrap()).unwrap();
    assert_eq!(Checkpoint::read(&path).unwrap(), good);
    check(&desk, &good, &desk.catalogue).unwrap();
    let edits: [fn(&mut Checkpoint); 5] = [
        |edited| edited.generation -= 1,
        |edited| edited.records += 1,
        |edited| edited.root.replace_range(..1, "x"),
        |edited| edited.time += 1,
        |edited| edited.signatures[0].signature.truncate(126),
    ];
    for edit in edits {
        let mut edited = good.clone();
        edit(&mut edited);
        let error = check(&desk, &edited, &desk.catalogue).unwrap_err();
        let fault = CatalogueFault::CheckpointForged;
        assert!(
            matches!(&error, Error::CatalogueRefused(found) if *found == fault),
            "{error}"
        );
    }
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
    let empty = open(&place.folder.join("empty.db"), &other, Environment::Test);
    let error = check(&desk, &good, &empty).unwrap_err();
    let fault = CatalogueFault::CheckpointOfOtherToken;
    assert!(
        matches!(&error, Error::CatalogueRefused(found) if *found == fault),
        "{error}"
    );
}

fn back_up(desk: &Desk, to: &std::path::Path) -> Result<Verified, Error> {
    backup::back_up(&desk.path, to, &desk.token, &|_, _| (), &|_| ())
}

fn checkpoint(desk: &Desk, catalogue: &Catalogue) -> Checkpoint {
    let made = Checkpoint::make(catalogue, 1_800_000_000, soon());
    desk.runtime.block_on(made).unwrap()
}

fn check(desk: &Desk, checkpoint: &Checkpoint, catalogue: &Catalogue) -> Result<(), Error> {
    desk.runtime.block_on(checkpoint.check(catalogue, soon()))
}

fn set(desk: &Desk, catalogue: &Catalogue, name: &str, to: State) {
    let name = KeyName::parse(name).unwrap();
    let tenant = tenant();
    let version = VersionOf {
        tenant: &tenant,
        name: &name,
        version: 1,
    };
    let operator = Act::operator();
    let set = lifecycle::set_state(catalogue, version, to, &operator);
    desk.runtime
        .block_on(async { set.await.map(drop) })
        .unwrap();
}
