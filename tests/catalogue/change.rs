//! A key's state changes, here or elsewhere.

use std::time::{Duration, Instant};

use pintle::keys::act::Act;
use pintle::keys::attributes::{Environment, State};
use pintle::keys::catalogue::{Catalogue, CatalogueOptions};
use pintle::keys::error::Error;
use pintle::keys::grant::{GenerateMac, VerifyMac};
use pintle::keys::key_ref::KeyName;
use pintle::keys::lifecycle::{self, VersionOf};
use pintle::keys::policy::grant;
use pintle::store::Store;

use crate::desk::{Desk, everything, refusal, tenant};
use crate::place::Place;

pub const DISABLER: &str = "disable_from_another_process";
const TAK: &str = "tak-pos-0001";
const RSA: &str = "alipay-app-rsa2";

pub fn a_key_disabled_by_another_process_stops_within_two_seconds(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let serving = desk.fresh();
    let poll = {
        let _runtime = desk.runtime.enter();
        serving.spawn_poll()
    };
    for name in [TAK, RSA] {
        assert!(desk.resolve(&serving, name).is_ok());
    }
    let output = crate::child_command(place, DISABLER).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // The other process has ended, so its write is at least this old.
    let written = Instant::now();
    for name in [TAK, RSA] {
        let error = loop {
            match desk.resolve(&serving, name) {
                Err(error) => break error,
                Ok(_) => assert!(
                    written.elapsed() < Duration::from_secs(2),
                    "{name} still works"
                ),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        println!(
            "{:?}: {name} stopped {:?} after the write",
            place.kind,
            written.elapsed()
        );
        let Error::StateRefused {
            name: refused,
            state,
            ..
        } = &error
        else {
            panic!("{error}")
        };
        assert_eq!((refused.as_str(), *state), (name, State::Disabled));
        assert!(
            desk.resolve(&serving, "zak-acquirer").is_ok(),
            "others go on"
        );
    }
    poll.abort();
}

/// The other process: it knows nothing but the token and the store.
pub fn disable_from_another_process(place: &Place) {
    let desk = Desk::at(place);
    for name in [TAK, RSA] {
        set(&desk, &desk.catalogue, name, State::Disabled).unwrap();
    }
}

pub fn a_key_disabled_while_it_loads_does_not_stay_open(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let serving = desk.fresh();
    // Loads and changes race; whatever the order, after the last poll the key is shut.
    for round in 0..20 {
        let (disabled, enabled) = (State::Disabled, State::Active);
        let changing = desk.fresh();
        desk.runtime.block_on(async {
            let scope = everything();
            let key = pintle::keys::key_ref::NamedKey::parse(TAK, 0).unwrap();
            let name = KeyName::parse(TAK).unwrap();
            let tenant = tenant();
            let version = VersionOf {
                tenant: &tenant,
                name: &name,
                version: 1,
            };
            let operator = Act::operator();
            let (changed, _) = tokio::join!(
                lifecycle::set_state(&changing, version, disabled, &operator),
                serving.resolve(&scope, &key, crate::desk::soon()),
            );
            changed.unwrap();
            serving.poll().await.unwrap();
        });
        let error = refusal(desk.resolve(&serving, TAK));
        assert!(
            matches!(error, Error::StateRefused { .. }),
            "round {round}: {error}"
        );
        set(&desk, &changing, TAK, enabled).unwrap();
        desk.runtime.block_on(serving.poll()).unwrap();
    }
}

pub fn a_retiring_version_takes_in_and_gives_out_nothing(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    set(&desk, &desk.catalogue, TAK, State::Retiring).unwrap();
    let error = refusal(desk.resolve(&desk.catalogue, TAK));
    assert!(
        matches!(
            error,
            Error::StateRefused {
                state: State::Retiring,
                ..
            }
        ),
        "{error}"
    );
    let key = desk.resolve_version(&desk.catalogue, TAK, 1).unwrap();
    assert!(grant::<VerifyMac>(&everything(), key.clone()).is_ok());
    let error = refusal(grant::<GenerateMac>(&everything(), key));
    assert!(
        matches!(
            error,
            Error::StateRefused {
                state: State::Retiring,
                ..
            }
        ),
        "{error}"
    );
}

pub fn a_disabled_key_can_be_enabled_again(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    for name in [TAK, RSA] {
        set(&desk, &desk.catalogue, name, State::Disabled).unwrap();
        assert!(matches!(
            refusal(desk.resolve(&desk.catalogue, name)),
            Error::StateRefused {
                state: State::Disabled,
                ..
            }
        ));
        let header = set(&desk, &desk.catalogue, name, State::Active).unwrap();
        assert_eq!((header.state, header.state_epoch), (State::Active, 2));
        assert!(desk.resolve(&desk.catalogue, name).is_ok());
        assert!(desk.resolve(&desk.fresh(), name).is_ok());
    }
}

pub fn a_step_that_is_none_of_life_is_refused(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let error = refusal(set(&desk, &desk.catalogue, TAK, State::Pending));
    assert!(matches!(
        error,
        Error::StateOrder {
            from: State::Active,
            to: State::Pending,
            ..
        }
    ));
    let error = refusal(set(&desk, &desk.catalogue, "absent", State::Disabled));
    assert!(matches!(error, Error::UnknownKey), "{error}");
}

pub fn without_news_of_the_store_no_key_is_used(place: &Place) {
    let desk = Desk::with_dev_keys(place);
    let options = CatalogueOptions {
        blind_after: Duration::from_millis(1500),
        ..CatalogueOptions::new(Environment::Test)
    };
    let store = Store::open(&desk.path).unwrap();
    let catalogue = Catalogue::open(store, desk.token.clone(), options).unwrap();
    assert!(desk.resolve(&catalogue, TAK).is_ok());
    std::thread::sleep(Duration::from_millis(1600));
    assert!(matches!(
        refusal(desk.resolve(&catalogue, TAK)),
        Error::Blind
    ));
    desk.runtime.block_on(catalogue.poll()).unwrap();
    assert!(desk.resolve(&catalogue, TAK).is_ok());
}

fn set(
    desk: &Desk,
    catalogue: &Catalogue,
    name: &str,
    to: State,
) -> Result<pintle::keys::record::Header, Error> {
    let name = KeyName::parse(name).unwrap();
    let tenant = tenant();
    let version = VersionOf {
        tenant: &tenant,
        name: &name,
        version: 1,
    };
    desk.runtime.block_on(lifecycle::set_state(
        catalogue,
        version,
        to,
        &Act::operator(),
    ))
}
