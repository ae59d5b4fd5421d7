//! What the layer above relies on at the token, and what an attacker with the token's PIN does not
//! get: the same suite on the embedded token and on SoftHSM. A module is initialised once per
//! process and SoftHSM reads its configuration once, so every scenario runs in a child process of
//! its own, with a token folder of its own. A SoftHSM that is not installed is a failure.
#![cfg(feature = "embedded-token")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attack;
mod counted;
mod exports;
mod mac;
mod masters;
mod place;
mod planted;
mod queue;
mod recovery;
mod rotation;
mod rsa;
#[path = "../support/rsa_variants.rs"]
mod rsa_variants;
mod seal;
mod secret_key;
mod sensitive_field;
mod sm2;
mod together;
mod transport;
mod trial;
mod vendor_sm2;
mod wrapped;

use place::{Kind, Place};

/// Each scenario becomes one test per token; the child process is this binary again.
macro_rules! scenarios {
    ($($module:ident :: $name:ident),* $(,)?) => {
        mod embedded {
            $(#[test] fn $name() { super::spawn(super::Kind::Embedded, stringify!($name)); })*
        }
        mod softhsm {
            $(#[test] fn $name() { super::spawn(super::Kind::SoftHsm, stringify!($name)); })*
        }
        fn run(name: &str, place: &Place) {
            match name {
                $(stringify!($name) => $module::$name(place),)*
                _ => shimmed::run(name, place),
            }
        }
    };
}

scenarios! {
    seal::a_sealed_value_opens_again,
    seal::a_tampered_seal_is_not_authentic_and_the_worker_lives_on,
    seal::another_token_opens_nothing,
    seal::sizes_are_refused_before_the_token_is_asked,
    seal::the_cost_of_opening_is_printed,
    mac::root_and_pan_index_authenticate_and_differ,
    mac::audit_signs_and_its_public_key_is_to_be_had,
    mac::a_public_key_that_is_not_audits_is_refused,
    rotation::every_seal_key_opens_and_the_newest_seals,
    rotation::an_open_token_follows_another_process,
    rotation::only_an_old_seal_key_is_destroyed,
    rotation::a_seal_key_that_init_did_not_make_is_refused,
    rotation::an_unknown_seal_key_is_not_looked_for_again_and_again,
    masters::a_second_init_is_refused_and_changes_nothing,
    masters::a_missing_master_key_is_named,
    masters::a_weakened_master_key_is_refused_by_attribute,
    masters::a_master_key_there_twice_is_refused,
    masters::a_wrong_pin_is_tried_once,
    masters::a_token_of_another_label_is_not_touched,
    rsa::a_generated_key_signs,
    rsa::an_imported_key_signs,
    rsa::an_rsa_key_does_not_come_out,
    rsa::what_is_not_an_rsa_key_is_refused,
    rsa::a_destroyed_key_is_gone,
    secret_key::an_imported_secret_computes_what_our_ciphers_do,
    secret_key::a_generated_secret_is_of_its_kind_and_does_one_thing,
    secret_key::a_secret_key_does_not_come_out,
    secret_key::what_is_not_a_secret_of_its_kind_is_refused,
    wrapped::a_wrapped_key_signs_and_nothing_stays,
    wrapped::a_wrapped_key_outlives_its_session_object,
    wrapped::a_blob_that_wrap_did_not_make_is_not_authentic,
    wrapped::many_workers_share_the_open_keys,
    wrapped::only_so_many_keys_are_open_at_once,
    transport::what_a_partner_wraps_opens,
    transport::what_does_not_open_gets_one_answer,
    transport::a_transport_key_does_one_thing,
    sensitive_field::a_field_key_signs_and_opens,
    sensitive_field::fields_that_do_not_open_get_one_answer,
    sensitive_field::a_field_key_does_two_things_and_a_signing_key_one,
    sm2::a_token_without_sm2_keeps_no_sm2_key,
    attack::no_attribute_of_a_master_key_can_be_set,
    attack::no_copy_of_a_master_key_helps,
    attack::wrap_then_decrypt_gets_nothing,
    attack::deriving_from_a_master_key_or_its_copy_gets_nothing,
    attack::what_wrap_unwraps_stays_inside,
    attack::the_same_attacks_take_a_key_out_of_a_token_with_a_bad_wrap,
    planted::a_planted_key_keeps_the_token_from_being_opened,
    planted::a_key_planted_while_it_serves_is_found_by_the_next_recovery,
    planted::a_master_key_in_the_place_of_another_is_known_by_its_check_value,
    planted::five_thousand_keys_are_judged_at_the_start,
    trial::every_listed_mechanism_was_tried_and_works,
    trial::a_profile_that_is_wrong_of_the_token_is_found_out,
    queue::a_past_deadline_makes_no_token_call,
    queue::a_deadline_that_passes_in_the_queue_makes_no_token_call,
    queue::a_full_queue_refuses_at_once,
    queue::a_dropped_token_answers_what_waits,
    recovery::a_logout_behind_our_back_is_cured,
    recovery::a_pin_changed_behind_our_back_is_tried_once,
    recovery::a_token_that_was_away_serves_again,
    recovery::a_token_made_anew_is_refused_and_nothing_is_made_on_it,
    counted::what_befalls_a_token_is_counted,
    together::several_tokens_work_at_the_same_time,
    together::one_token_that_loses_its_login_disturbs_no_other,
    exports::both_tokens_work_in_one_process,
    exports::softhsm_keeps_debians_libcrypto,
}

/// What each operation asks of the embedded token, recorded by a shim before it; and what needs a shim
/// before either token.
mod shimmed {
    macro_rules! again {
        ($($name:ident),* $(,)?) => {
            $(#[test] fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::spawn_in(&super::Place::prepare_shimmed(folder.path()), stringify!($name));
            })*
        };
    }
    again! {
        a_sealed_value_opens_again,
        root_and_pan_index_authenticate_and_differ,
        audit_signs_and_its_public_key_is_to_be_had,
        a_generated_key_signs,
        an_imported_key_signs,
        an_imported_secret_computes_what_our_ciphers_do,
        a_generated_secret_is_of_its_kind_and_does_one_thing,
        a_wrapped_key_signs_and_nothing_stays,
        what_a_partner_wraps_opens,
        a_field_key_signs_and_opens,
        an_idle_worker_signs_while_another_makes_a_key,
    }

    #[test]
    fn an_idle_worker_signs_while_another_makes_a_key_on_softhsm() {
        let name = "an_idle_worker_signs_while_another_makes_a_key";
        super::spawn(super::Kind::SoftHsm, name);
    }

    /// SoftHSM behind a shim that acts as having SM2.
    macro_rules! with_sm2 {
        ($($module:ident :: $name:ident),* $(,)?) => {
            $(#[test] fn $name() {
                let folder = tempfile::tempdir().unwrap();
                super::spawn_in(&super::Place::prepare_with_sm2(folder.path()), stringify!($name));
            })*

            fn run_with_sm2(name: &str, place: &super::Place) {
                match name {
                    $(stringify!($name) => super::$module::$name(place),)*
                    _ => panic!("no scenario {name}"),
                }
            }
        };
    }
    with_sm2! {
        vendor_sm2::a_vendor_key_signs_by_sm2,
        vendor_sm2::a_vendor_key_is_found_by_what_it_is,
        vendor_sm2::a_vendor_key_says_what_it_is,
        vendor_sm2::a_vendor_key_is_made_and_kept_as_a_vendor_would,
        vendor_sm2::a_vendor_token_refuses_what_it_should,
        vendor_sm2::faults_befall_sm2_too,
        vendor_sm2::the_trial_finds_sm2_to_work,
        sm2::a_kept_sm2_key_signs,
        sm2::a_kept_sm2_key_outlives_its_profile_only_to_be_destroyed,
        sm2::an_sm2_key_that_does_not_sign_is_not_kept,
    }

    #[test]
    fn a_token_without_sm2_has_none_of_it_on_softhsm() {
        super::spawn(super::Kind::SoftHsm, "a_token_without_sm2_has_none_of_it");
    }

    pub fn run(name: &str, place: &super::Place) {
        match name {
            "a_token_without_sm2_has_none_of_it" => {
                super::vendor_sm2::a_token_without_sm2_has_none_of_it(place);
            }
            "an_idle_worker_signs_while_another_makes_a_key" => {
                super::queue::an_idle_worker_signs_while_another_makes_a_key(place);
            }
            _ => run_with_sm2(name, place),
        }
    }
}

const SCENARIO: &str = "PINTLE_TEST_SCENARIO";

fn spawn(kind: Kind, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    spawn_in(&Place::prepare(kind, folder.path()), name);
}

fn spawn_in(place: &Place, name: &str) {
    let output = place
        .command(&std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(SCENARIO, name)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && out.contains(&done(name)),
        "{name}: {}\n{out}\n{err}",
        output.status
    );
    // Shown with --nocapture: what the tokens took and refused.
    print!("{}", out.replace(&done(name), ""));
}

fn done(name: &str) -> String {
    format!("scenario {name} is done\n")
}

/// The child's side of every test above; by itself it does nothing.
#[test]
fn child() {
    let Ok(name) = std::env::var(SCENARIO) else {
        return;
    };
    run(&name, &Place::from_environment());
    print!("{}", done(&name));
}
