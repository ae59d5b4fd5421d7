//! Two tokens over one store: either opens what the other wrote, what a token that is missing has
//! sealed is not written over, and losing one loses nothing but what was in it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use pintle::domain::mac;
use pintle::hsm::{Module, Token, TokenConfig};
use pintle::keys::act::Act;
use pintle::keys::attributes::{Environment, Residence, State};
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::enrol::{self, Enrolled};
use pintle::keys::error::{CatalogueFault, Error, Refusal};
use pintle::keys::grant::GenerateMac;
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::keys::policy::grant;
use pintle::keys::record::Header;
use pintle::keys::template::Template;
use pintle::keys::{backup, provision};
use pintle::secret::Secret;
use pintle::store::Store;

use crate::desk::{Desk, dev_template, everything, named, refusal, template, tenant};
use crate::place::{Kind, PIN, Place, SO_PIN, secret_pin, softhsm};

pub const TAK: &str = "tak-pos-0001";
pub const MACS: [&str; 4] = [TAK, "zak-acquirer", "zak-acquirer-sm4", "hmac-gateway"];
pub const BOUND: [&str; 2] = ["alipay-app-rsa", "alipay-app-rsa2"];

/// A token of the other module than the place's own.
pub fn other_config(place: &Place) -> TokenConfig {
    TokenConfig {
        module: match place.kind {
            Kind::Embedded => softhsm(),
            Kind::SoftHsm => Module::Embedded {
                dir: other_folder(place),
            },
        },
        label: "pintle-other".to_owned(),
        pin: secret_pin(PIN),
        symmetric_workers: 1,
        asymmetric_workers: 1,
        call_timeout: pintle::limits::TOKEN_CALL_TIMEOUT,
        profile: None,
    }
}

fn other_folder(place: &Place) -> PathBuf {
    place.folder.join("other")
}

pub fn make_other(place: &Place) -> Token {
    let so_pin = Secret::new(SO_PIN.to_owned());
    Token::initialize(&other_config(place), Some(&so_pin)).unwrap();
    Token::open(&other_config(place)).unwrap()
}

/// The desk's store with these tokens at hand, the first at work.
pub fn among(desk: &Desk, token: &Token, others: &[&Token]) -> Result<Catalogue, Error> {
    let store = Store::open(&desk.path).unwrap();
    let others = others.iter().copied().cloned().collect();
    let options = CatalogueOptions::new(Environment::Test);
    Catalogue::open_among(store, (token.clone(), others), options, &|_| ())
}

pub fn enroll(desk: &Desk, both: &Catalogue, other: &Token) -> Enrolled {
    let done = enrol::enroll(both, other.id(), &|_| ());
    desk.runtime.block_on(done).unwrap()
}

fn names(ids: &[pintle::store::RecordId]) -> Vec<&str> {
    ids.iter().map(|id| id.name.as_str()).collect()
}

/// The MAC of a fixed message under a key of the template.
pub fn mac(desk: &Desk, catalogue: &Catalogue, name: &str) -> Vec<u8> {
    let key = desk.resolve(catalogue, name).unwrap();
    let grant = grant::<GenerateMac>(&everything(), key).unwrap();
    let tag = mac::generate(grant.key(), grant.rule(), b"one message").unwrap();
    tag.as_bytes().to_vec()
}

pub fn apply(desk: &Desk, catalogue: &Catalogue, keys: &Template) {
    let tenant = tenant();
    let applied = provision::apply(catalogue, keys, &tenant);
    desk.runtime.block_on(applied).unwrap();
}

pub fn set(desk: &Desk, catalogue: &Catalogue, name: &str, to: State) -> Result<Header, Error> {
    let (name, tenant) = (KeyName::parse(name).unwrap(), tenant());
    let version = VersionOf {
        tenant: &tenant,
        name: &name,
        version: 1,
    };
    let act = Act::operator();
    let set = lifecycle::set_state(catalogue, version, to, &act);
    desk.runtime.block_on(set)
}

pub fn an_enrolled_token_opens_every_key_that_can_leave_and_names_the_others(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let other = make_other(place);
    let error = refusal(among(&desk, &other, &[]));
    let missing = CatalogueFault::RootMissing;
    assert!(matches!(error, Error::CatalogueRefused(fault) if fault == missing));
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    let alone = both.alone();
    assert!(alone.enrollable.is_some(), "before: {alone:?}");

    let seen = AtomicU64::new(0);
    let tell = |at| seen.store(at, Ordering::Relaxed);
    let done = enrol::enroll(&both, other.id(), &tell);
    let done = desk.runtime.block_on(done).unwrap();
    let all = dev_template().keys().len() as u64;
    assert_eq!(seen.into_inner(), all);
    assert_eq!(names(&done.bound), BOUND);
    assert_eq!((done.sealed, done.opened), (all - 2, all - 2));
    assert!(done.refused.is_empty(), "{:?}", done.refused);

    let by_other = among(&desk, &other, &[]).unwrap();
    assert!(by_other.findings().is_empty());
    let alone = by_other.alone();
    assert_eq!(alone.enrollable, None);
    assert!(BOUND.contains(&alone.bound.unwrap().name.as_str()));
    for name in MACS {
        assert_eq!(mac(&desk, &by_other, name), mac(&desk, &both, name));
    }
    for spec in dev_template().keys() {
        let opened = desk.resolve(&by_other, spec.name.as_str());
        if spec.residence == Residence::Process {
            assert!(opened.is_ok(), "{}", spec.name);
        } else {
            let error = refusal(opened);
            let why = named(&error).map(|(_, why)| why);
            assert_eq!(why, Some(Refusal::OtherToken), "{}", spec.name);
        }
    }
    // Twice is once.
    let again = enroll(&desk, &both, &other);
    assert_eq!((again.sealed, again.opened), (0, all - 2));
    assert_eq!(names(&again.bound), BOUND);
}

pub fn enrolling_goes_on_where_it_was_left(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let other = make_other(place);
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    enroll(&desk, &both, &other);
    // As if it had been killed before these: their rows are as they were, in a change of its own.
    let alone = desk.fresh();
    for name in ["extra-1", "extra-2"] {
        apply(&desk, &alone, &one_key(name));
    }
    // The other has not vouched for these: it says so, and does not serve half of it.
    let error = refusal(among(&desk, &other, &[]));
    let stale = CatalogueFault::RootStale;
    assert!(matches!(error, Error::CatalogueRefused(fault) if fault == stale));
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    assert!(both.alone().enrollable.is_some());
    let done = enroll(&desk, &both, &other);
    assert_eq!(done.sealed, 2);
    let by_other = among(&desk, &other, &[]).unwrap();
    assert_eq!(by_other.alone().enrollable, None);
    assert_eq!(mac(&desk, &by_other, TAK), mac(&desk, &both, TAK));
    assert!(desk.resolve(&by_other, "extra-2").is_ok());
}

pub fn a_token_is_enrolled_for_an_empty_store_and_for_keys_that_cannot_follow(place: &Place) {
    let desk = Desk::set_up(place);
    let other = make_other(place);
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    let done = enroll(&desk, &both, &other);
    assert_eq!((done.sealed, done.opened), (0, 0));
    assert_eq!(among(&desk, &other, &[]).unwrap().stats().records, 0);
    // From now on the other has everything from the beginning.
    apply(&desk, &both, &dev_template());
    let by_other = among(&desk, &other, &[]).unwrap();
    assert_eq!(mac(&desk, &by_other, TAK), mac(&desk, &both, TAK));
    let done = enroll(&desk, &both, &other);
    assert_eq!((done.sealed, names(&done.bound)), (0, BOUND.to_vec()));
}

pub fn life_goes_on_with_both_tokens_and_each_follows(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let other = make_other(place);
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    enroll(&desk, &both, &other);
    let by_other = among(&desk, &other, &[]).unwrap();
    assert!(desk.resolve(&by_other, TAK).is_ok());
    set(&desk, &both, TAK, State::Disabled).unwrap();
    desk.runtime.block_on(by_other.poll()).unwrap();
    let error = refusal(desk.resolve(&by_other, TAK));
    assert!(matches!(error, Error::StateRefused { .. }), "{error}");
    // And the other way round, whoever works first.
    let turned = among(&desk, &other, &[&desk.token]).unwrap();
    set(&desk, &turned, TAK, State::Active).unwrap();
    assert!(desk.resolve(&desk.fresh(), TAK).is_ok());
    assert!(
        desk.resolve(&among(&desk, &other, &[]).unwrap(), TAK)
            .is_ok()
    );
    // What is in one token only is moved by that one, whoever is first, and stays its own.
    set(&desk, &both, BOUND[0], State::Disabled).unwrap();
    set(&desk, &both, BOUND[0], State::Active).unwrap();
    assert!(desk.resolve(&desk.fresh(), BOUND[0]).is_ok());
    set(&desk, &turned, BOUND[0], State::Disabled).unwrap();
    set(&desk, &turned, BOUND[0], State::Active).unwrap();
    assert!(desk.resolve(&desk.fresh(), BOUND[0]).is_ok());
    let by_other = among(&desk, &other, &[]).unwrap();
    let error = refusal(set(&desk, &by_other, BOUND[0], State::Disabled));
    let why = named(&error).map(|(_, why)| why);
    assert_eq!(why, Some(Refusal::OtherToken));
}

pub fn what_a_missing_token_has_sealed_is_not_written_over_until_it_is_dismissed(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let other = make_other(place);
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    enroll(&desk, &both, &other);
    // The first is lost; the other is alone.
    let by_other = among(&desk, &other, &[]).unwrap();
    let before = mac(&desk, &by_other, TAK);
    let error = refusal(set(&desk, &by_other, TAK, State::Disabled));
    let lost = desk.token.id();
    assert_eq!(named(&error), Some((TAK, Refusal::SealedForOthers(lost))));
    assert!(error.to_string().contains(&lost.to_string()), "{error}");
    assert!(desk.resolve(&by_other, TAK).is_ok(), "nothing was written");

    let dismiss = |catalogue: &Catalogue| {
        let done = enrol::dismiss(catalogue, lost, &|_| ());
        desk.runtime.block_on(done)
    };
    let error = refusal(dismiss(&both));
    assert!(matches!(error, Error::TokenAtHand { token } if token == lost));
    let done = dismiss(&by_other).unwrap();
    assert_eq!(done.written, dev_template().keys().len() as u64 - 2);
    assert_eq!(names(&done.lost), BOUND);
    set(&desk, &by_other, TAK, State::Disabled).unwrap();
    set(&desk, &by_other, TAK, State::Active).unwrap();
    assert_eq!(mac(&desk, &by_other, TAK), before);
    assert_eq!(dismiss(&by_other).unwrap().written, 0);
    // Found again it is enrolled again, and its own keys are as they were.
    let turned = among(&desk, &other, &[&desk.token]).unwrap();
    let done = enroll(&desk, &turned, &desk.token);
    assert_eq!(done.sealed, dev_template().keys().len() as u64 - 2);
    let first = desk.fresh();
    assert_eq!(mac(&desk, &first, TAK), before);
    assert!(desk.resolve(&first, BOUND[0]).is_ok());
}

pub fn a_row_that_was_put_back_is_not_given_another_seal(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let other = make_other(place);
    let file = desk.file();
    let read = "SELECT header, seals FROM key_record WHERE name = ?1";
    let (header, seals): (Vec<u8>, Vec<u8>) = file
        .query_row(read, [TAK], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    set(&desk, &desk.catalogue, TAK, State::Disabled).unwrap();
    let write = "UPDATE key_record SET header = ?2, seals = ?3 WHERE name = ?1";
    file.execute(write, rusqlite::params![TAK, header, seals])
        .unwrap();
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    let done = enroll(&desk, &both, &other);
    let [refused] = done.refused.as_slice() else {
        panic!("{:?}", done.refused)
    };
    assert_eq!(refused.id.name, TAK);
    assert_eq!(refused.why, Refusal::RowDiffers);
    let by_other = among(&desk, &other, &[]).unwrap();
    assert_eq!(named(&refusal(desk.resolve(&by_other, TAK))), {
        Some((TAK, Refusal::RowDiffers))
    });
    assert!(desk.resolve(&by_other, MACS[1]).is_ok(), "all else follows");
}

/// What the drill writes down before the first token and the store are destroyed.
const BEFORE: &str = "macs-before";

/// Destroy a token and the store, restore the backup, serve with the other token.
pub fn the_store_outlives_its_token(place: &Place) {
    const STEP: &str = "PINTLE_TEST_DRILL";
    match std::env::var(STEP).as_deref() {
        Ok("before") => return before_the_fire(place),
        Ok(_) => return after_the_fire(place),
        Err(_) => {}
    }
    let step = |step: &str| {
        let mut command = crate::child_command(place, "the_store_outlives_its_token");
        let output = command.env(STEP, step).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{step}: {text}");
    };
    step("before");
    // Everything but the backup and the other token's own files.
    let spared = match place.kind {
        Kind::Embedded => {
            std::fs::remove_dir_all(place.folder.join("embedded")).unwrap();
            place.folder.join("tokens")
        }
        Kind::SoftHsm => {
            std::fs::remove_dir_all(place.folder.join("tokens")).unwrap();
            std::fs::create_dir(place.folder.join("tokens")).unwrap();
            other_folder(place)
        }
    };
    assert!(spared.exists());
    for file in ["store.db", "store.db-wal", "store.db-shm"] {
        let _ = std::fs::remove_file(place.folder.join(file));
    }
    assert!(!place.folder.join("store.db").exists());
    step("after");
}

fn before_the_fire(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let other = make_other(place);
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    let done = enroll(&desk, &both, &other);
    assert_eq!(names(&done.bound), BOUND);
    let macs = MACS.map(|name| hex::encode(mac(&desk, &both, name)));
    std::fs::write(place.folder.join(BEFORE), macs.join("\n")).unwrap();
    let to = place.folder.join("backup.db");
    backup::back_up(&desk.path, &to, &desk.token, &|_, _| (), &|_| ()).unwrap();
}

fn after_the_fire(place: &Place) {
    assert!(Token::open(&place.config()).is_err(), "it is destroyed");
    let other = Token::open(&other_config(place)).unwrap();
    let (from, path) = (
        place.folder.join("backup.db"),
        place.folder.join("store.db"),
    );
    let restored = backup::restore(&from, &path, &other, &|_, _| (), &|_| ()).unwrap();
    let all = dev_template().keys().len();
    assert_eq!(restored.records, all as u64);
    let desk = Desk::of(place, &other);
    let macs = MACS.map(|name| hex::encode(mac(&desk, &desk.catalogue, name)));
    let before = std::fs::read_to_string(place.folder.join(BEFORE)).unwrap();
    assert_eq!(macs.join("\n"), before);
    let opened = dev_template()
        .keys()
        .iter()
        .filter(|spec| desk.resolve(&desk.catalogue, spec.name.as_str()).is_ok())
        .count();
    assert_eq!(opened, all - BOUND.len());
    assert_eq!(desk.refused(&desk.catalogue), BOUND, "named, not silent");
    // And life goes on.
    let vouched = desk.runtime.block_on(enrol::vouching(&desk.catalogue));
    let lost = vouched.unwrap().into_iter().map(|(token, _)| token);
    let lost = lost.clone().find(|token| *token != other.id()).unwrap();
    let done = enrol::dismiss(&desk.catalogue, lost, &|_| ());
    assert_eq!(names(&desk.runtime.block_on(done).unwrap().lost), BOUND);
    set(&desk, &desk.catalogue, TAK, State::Disabled).unwrap();
}

pub fn one_key(name: &str) -> Template {
    template(&format!(
        "[[key]]\nname = \"{name}\"\nusage = \"mac_hmac\"\nmode = \"generate_and_verify\"\n\
         algorithm = \"HMAC-SHA256\"\n[key.mac]\nscheme = \"HMAC_SHA256\"\nlength = 32\n"
    ))
}
