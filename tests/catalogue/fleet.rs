//! Several tokens of one store at work: they share the load, stand in for one another, and what one
//! alone can do waits for it.

use std::time::{Duration, Instant};

use pintle::domain::pan::Pan;
use pintle::domain::pin_verification::decimalisation::DecimalisationTable;
use pintle::hsm::{self, Standing, Token, write_series};
use pintle::keys::act::Act;
use pintle::keys::attributes::{Environment, State};
use pintle::keys::budget::{BudgetRules, Reserved, Try};
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::checkpoint::Checkpoint;
use pintle::keys::decimalisation;
use pintle::keys::error::{CatalogueFault, Error};
use pintle::keys::fleet::Fleet;
use pintle::keys::grant::{Sign, Signer};
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::keys::policy::grant;
use pintle::keys::provision;
use pintle::limits;
use pintle::series::Text;
use pintle::store::Store;

use crate::desk::{Desk, everything, refusal, soon, tenant};
use crate::place::{LABEL, Place};
use crate::tokens::{
    BOUND, MACS, TAK, among, apply, enroll, mac, make_other, one_key, other_config, set,
};

const OTHER: &str = "pintle-other";

/// A store with keys, and two tokens that are enrolled for it.
struct Pair {
    desk: Desk,
    other: Token,
    both: Catalogue,
}

impl Pair {
    fn set_up(place: &Place) -> Self {
        let desk = Desk::with_dev_keys(place);
        let other = make_other(place);
        let both = among(&desk, &desk.token, &[&other]).unwrap();
        enroll(&desk, &both, &other);
        // Nothing is open yet.
        let both = among(&desk, &desk.token, &[&other]).unwrap();
        Self { desk, other, both }
    }

    fn first_goes(&self, place: &Place) {
        place.hide();
        until("the first is away", || {
            let _ = self.desk.token.probe(soon()).wait();
            !matches!(self.desk.token.standing(), Standing::Serving)
        });
    }

    fn first_comes_back(&self, place: &Place) {
        place.show();
        until("the first serves", || {
            matches!(self.desk.token.standing(), Standing::Serving)
        });
    }
}

pub fn load_is_shared_by_tokens_that_serve(place: &Place) {
    let pair = Pair::set_up(place);
    let tokens = [&pair.desk.token, &pair.other];
    let before = tokens.map(unseals);
    let mut opened = 0;
    for _ in 0..5 {
        let cold = among(&pair.desk, &pair.desk.token, &[&pair.other]).unwrap();
        for name in MACS {
            assert!(pair.desk.resolve(&cold, name).is_ok());
            opened += 1;
        }
    }
    let by = || [0, 1].map(|at| unseals(tokens[at]) - before[at]);
    // A worker answers first and counts then.
    until("all are counted", || by().iter().sum::<u64>() == opened);
    let shares = by();
    // Neither is ever busy when the next comes: by turns.
    assert!(shares.iter().all(|share| share * 4 >= opened), "{shares:?}");
}

pub fn the_other_token_takes_over_while_one_is_away(place: &Place) {
    let pair = Pair::set_up(place);
    let (desk, both) = (&pair.desk, &pair.both);
    let before = MACS.map(|name| mac(desk, &desk.fresh(), name));
    let hot = desk.resolve(both, BOUND[0]).unwrap();
    pair.first_goes(place);
    for (name, before) in MACS.iter().zip(&before) {
        assert_eq!(mac(desk, both, name), *before, "{name}");
    }
    let random = both.fleet().random(soon(), 32);
    assert_eq!(desk.runtime.block_on(random).unwrap().len(), 32);
    desk.runtime.block_on(both.fleet().probe(soon())).unwrap();
    // What is in the first only waits for it, found before or not.
    let error = refusal(desk.resolve(both, BOUND[1]));
    let away = |error: &hsm::Error| matches!(error, hsm::Error::Unavailable(_));
    assert!(
        matches!(&error, Error::TokenUnavailable(error) if away(error)),
        "{error}"
    );
    let signing = grant::<Sign>(&everything(), hot).unwrap();
    let Signer::Rsa { key, hash } = signing.signer() else {
        panic!("an RSA key")
    };
    let signed = key.sign(soon(), hash, b"message".to_vec()).wait();
    assert!(away(&signed.unwrap_err()));
    // Nothing is written that it would not vouch for, and who is missing is said.
    for error in [
        refusal(set(desk, both, TAK, State::Disabled)),
        desk.runtime
            .block_on(Checkpoint::make(both, 1_800_000_000, soon()))
            .unwrap_err(),
    ] {
        assert_eq!(away_token(&error), Some(LABEL), "{error}");
    }
    assert!(desk.resolve(both, TAK).is_ok(), "nothing was written");
    pair.first_comes_back(place);
    assert!(desk.resolve(both, BOUND[1]).is_ok());
    let signed = key.sign(soon(), hash, b"message".to_vec()).wait();
    assert!(!signed.unwrap().is_empty());
    set(desk, both, TAK, State::Disabled).unwrap();
    for token in [&desk.token, &pair.other] {
        let alone = among(desk, token, &[]).unwrap();
        let error = refusal(desk.resolve(&alone, TAK));
        assert!(matches!(error, Error::StateRefused { .. }), "{error}");
    }
}

pub fn the_call_that_finds_a_token_gone_is_answered_by_the_other(place: &Place) {
    let pair = Pair::set_up(place);
    let desk = &pair.desk;
    let gone = || !matches!(desk.token.standing(), Standing::Serving);
    // Whoever has asked for nothing yet asks the first, and nobody knows that it is gone.
    let fresh = || among(desk, &desk.token, &[&pair.other]).unwrap();
    let watching = fresh();
    set(desk, &pair.both, TAK, State::Disabled).unwrap();
    place.hide();
    assert!(!gone());
    desk.runtime.block_on(watching.poll()).unwrap();
    assert!(gone(), "it was asked");
    let error = refusal(desk.resolve(&watching, TAK));
    // The change is believed, on the other's word.
    assert!(matches!(error, Error::StateRefused { .. }), "{error}");
    pair.first_comes_back(place);
    let cold = fresh();
    place.hide();
    assert!(!gone());
    assert!(desk.resolve(&cold, MACS[1]).is_ok());
    assert!(gone(), "it was asked");
}

pub fn a_takeover_gives_no_new_tries_of_a_pin(place: &Place) {
    let pair = Pair::set_up(place);
    let pan = Pan::parse("4012345678909").unwrap();
    let rules = BudgetRules {
        pan_failures_day: 3,
        ..BudgetRules::default()
    };
    let of = Try {
        tenant: "default",
        caller: "spiffe://test/pos",
        key: "pvk",
        pan: &pan,
    };
    let tried = || {
        let reserved = Reserved::for_verification(&pair.both, rules, of, soon());
        pair.desk.runtime.block_on(reserved).map(drop)
    };
    tried().unwrap();
    tried().unwrap();
    pair.first_goes(place);
    tried().unwrap();
    let spent = |error: Error| matches!(error, Error::BudgetSpent);
    assert!(spent(tried().unwrap_err()), "three are three");
    pair.first_comes_back(place);
    assert!(spent(tried().unwrap_err()), "the highest count holds");
}

pub fn keys_in_a_token_are_that_tokens_whatever_the_order(place: &Place) {
    let pair = Pair::set_up(place);
    let desk = &pair.desk;
    let turned = among(desk, &pair.other, &[&desk.token]).unwrap();
    for (catalogue, name) in [(&pair.both, BOUND[0]), (&turned, BOUND[1])] {
        let key = desk.resolve(catalogue, name).unwrap();
        let signing = grant::<Sign>(&everything(), key).unwrap();
        let Signer::Rsa { key, hash } = signing.signer() else {
            panic!("an RSA key")
        };
        let signed = key.sign(soon(), hash, b"message".to_vec()).wait();
        assert!(!signed.unwrap().is_empty(), "{name}");
    }
    // And it is the home of such a key that is asked when the key moves.
    set(desk, &turned, BOUND[0], State::Disabled).unwrap();
    set(desk, &turned, BOUND[0], State::Active).unwrap();
    let by_first = desk.fresh();
    assert!(desk.resolve(&by_first, BOUND[0]).is_ok());
}

pub fn what_both_vouch_for_either_can_tell(place: &Place) {
    let pair = Pair::set_up(place);
    let (desk, both) = (&pair.desk, &pair.both);
    let act = || Act::requested("default", "spiffe://test/a", "one", "SetState", b"tak").unwrap();
    let (name, owner) = (KeyName::parse(TAK).unwrap(), tenant());
    let version = VersionOf {
        tenant: &owner,
        name: &name,
        version: 1,
    };
    let act_once = act();
    let once = lifecycle::set_state(both, version, State::Disabled, &act_once);
    desk.runtime
        .block_on(async { once.await.map(drop) })
        .unwrap();
    let table = DecimalisationTable::parse("0123456789012345").unwrap();
    let visa = KeyName::parse("visa").unwrap();
    let operator = Act::operator();
    let made = decimalisation::create(both, &owner, (&visa, table), &operator);
    desk.runtime.block_on(made).unwrap();
    let checkpoint = Checkpoint::make(both, 1_800_000_000, soon());
    let checkpoint = desk.runtime.block_on(checkpoint).unwrap();
    for token in [&desk.token, &pair.other] {
        let alone = among(desk, token, &[]).unwrap();
        let act = act();
        let repeated = desk.runtime.block_on(act.repeated(&alone)).unwrap();
        assert_eq!(repeated.map(|outcome| outcome.name), Some(name.clone()));
        let read = decimalisation::read(&alone, &owner, &visa);
        assert_eq!(desk.runtime.block_on(read).unwrap().name, visa);
        let checked = checkpoint.check(&alone, soon());
        desk.runtime.block_on(checked).unwrap();
    }
    // While one is away the other tells, whoever is asked first.
    pair.first_goes(place);
    for _ in 0..4 {
        let act = act();
        let repeated = desk.runtime.block_on(act.repeated(both)).unwrap();
        assert!(repeated.is_some());
    }
    desk.runtime
        .block_on(checkpoint.check(both, soon()))
        .unwrap();
}

pub fn a_token_joins_a_running_server_once_it_is_enrolled(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    // Named in the configuration, and not made yet.
    let fleet = || Fleet::recruits(vec![place.config(), other_config(place)]);
    let serving = muster(&desk, fleet()).unwrap();
    let _guard = desk.runtime.enter();
    let recruiting = serving.spawn_recruiting();
    assert_eq!(labels(&serving), [LABEL]);
    assert!(desk.resolve(&serving, TAK).is_ok());
    set(&desk, &serving, TAK, State::Disabled).unwrap();
    set(&desk, &serving, TAK, State::Active).unwrap();
    let other = make_other(place);
    std::thread::sleep(limits::RECRUIT_INTERVAL + Duration::from_secs(1));
    assert_eq!(
        labels(&serving),
        [LABEL],
        "it does not vouch for this store"
    );
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    enroll(&desk, &both, &other);
    until("it is used", || labels(&serving) == [LABEL, OTHER]);
    recruiting.abort();
    apply(&desk, &serving, &one_key("extra"));
    assert!(
        desk.resolve(&among(&desk, &other, &[]).unwrap(), "extra")
            .is_ok()
    );
}

pub fn a_token_of_another_store_is_not_used(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let other = make_other(place);
    let owner = tenant();
    // Enrolled, and not here: what it vouches for is not changed without it.
    let both = among(&desk, &desk.token, &[&other]).unwrap();
    enroll(&desk, &both, &other);
    let absent = pintle::hsm::TokenConfig {
        label: "pintle-absent".to_owned(),
        ..other_config(place)
    };
    let serving = muster(&desk, Fleet::recruits(vec![place.config(), absent])).unwrap();
    assert!(desk.resolve(&serving, TAK).is_ok());
    let error = refusal(set(&desk, &serving, TAK, State::Disabled));
    assert_eq!(away_token(&error), Some("pintle-absent"), "{error}");
    let more = one_key("more");
    let made = provision::apply(&serving, &more, &owner);
    let error = refusal(desk.runtime.block_on(made));
    assert_eq!(away_token(&error), Some("pintle-absent"), "{error}");
    // Left behind it refuses the store, is named, and the first serves alone.
    let alone = desk.fresh();
    apply(&desk, &alone, &one_key("extra"));
    let fleet = Fleet::recruits(vec![other_config(place), place.config()]);
    let serving = muster(&desk, fleet).unwrap();
    assert_eq!(labels(&serving), [LABEL]);
    assert!(desk.resolve(&serving, "extra").is_ok());
    let error = refusal(serving.fleet().first().map(drop));
    assert_eq!(away_token(&error), Some(OTHER));
    let why = CatalogueFault::RootStale.to_string();
    assert!(error.to_string().contains(&why), "{error}");
    // Where none can be used, why the first is not is said.
    let error = refusal(muster(&desk, Fleet::recruits(vec![other_config(place)])));
    let stale = CatalogueFault::RootStale;
    assert!(matches!(error, Error::CatalogueRefused(fault) if fault == stale));
}

pub fn tokens_that_all_refuse_stop_open_keys_too(place: &Place) {
    let pair = Pair::set_up(place);
    let desk = &pair.desk;
    assert!(desk.resolve(&desk.catalogue, TAK).is_ok());
    assert!(desk.resolve(&pair.both, TAK).is_ok());
    place.make_anew();
    until("the first refuses", || {
        let _ = desk.token.probe(soon()).wait();
        matches!(desk.token.standing(), Standing::Refusing(_))
    });
    let error = refusal(desk.resolve(&desk.catalogue, TAK));
    assert_eq!(away_token(&error), Some(LABEL), "{error}");
    // Two tokens are two: the other has not changed.
    for name in MACS {
        assert!(desk.resolve(&pair.both, name).is_ok(), "{name}");
    }
    desk.runtime
        .block_on(pair.both.fleet().probe(soon()))
        .unwrap();
    let probed = desk.runtime.block_on(desk.catalogue.fleet().probe(soon()));
    let error = refusal(probed);
    assert!(matches!(error, Error::NoTokenServes { .. }), "{error}");
    assert!(error.to_string().contains(LABEL), "{error}");
}

fn muster(desk: &Desk, fleet: Fleet) -> Result<Catalogue, Error> {
    let store = Store::open(&desk.path).unwrap();
    let options = CatalogueOptions::new(Environment::Test);
    Catalogue::open_fleet(store, fleet, options, &|_| ())
}

fn labels(catalogue: &Catalogue) -> Vec<&str> {
    let tokens = catalogue.fleet().tokens();
    tokens.map(|token| token.info().label.as_str()).collect()
}

fn away_token(error: &Error) -> Option<&str> {
    match error {
        Error::TokenAway { token, .. } => Some(token),
        _ => None,
    }
}

/// How many records a token has opened.
fn unseals(token: &Token) -> u64 {
    let mut text = Text::new();
    write_series(std::slice::from_ref(token), &mut text);
    let start = format!(
        "pintle_token_call_seconds_count{{token=\"{}\",function=\"unseal\"}} ",
        token.info().label
    );
    let text = text.into_string();
    let value = text.lines().find_map(|line| line.strip_prefix(&start));
    value.map_or(0, |value| value.parse().unwrap())
}

fn until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
