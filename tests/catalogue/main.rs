//! What the catalogue promises with a real token behind it, and what somebody who can write the
//! store does not get: the same suite on the embedded token and on SoftHSM. Every scenario runs in
//! a child process with a token folder of its own, since a module is initialised once per process.
#![cfg(feature = "embedded-token")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod apply;
mod backup;
mod change;
mod desk;
mod fleet;
mod import;
mod intent;
mod oracle;
mod partner;
#[path = "../token/place.rs"]
#[expect(
    dead_code,
    reason = "shared with the token suite, which uses more of it"
)]
mod place;
mod root;
mod rotation;
mod sign_in;
mod tamper;
mod tokens;
mod using;

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
                // Not a test but the other process of one.
                change::DISABLER => change::disable_from_another_process(place),
                _ => panic!("no scenario {name}"),
            }
        }
    };
}

scenarios! {
    apply::twice_is_once,
    apply::two_at_once_make_each_key_once,
    apply::a_key_that_differs_stops_everything,
    apply::a_plan_names_what_it_does_not_know,
    tamper::the_store_copied_to_another_token_opens_nothing,
    tamper::every_changed_header_byte_is_refused_and_named,
    tamper::two_rows_with_their_headers_swapped_are_refused_and_named,
    tamper::two_rows_with_their_seals_swapped_open_nothing_whatever_the_root_says,
    tamper::a_renamed_row_opens_nothing_whatever_the_root_says,
    tamper::two_whole_rows_swapped_are_refused_and_named,
    tamper::an_old_row_put_back_over_a_new_seal_is_refused,
    tamper::keys_of_another_environment_are_refused,
    oracle::the_root_is_what_its_description_says,
    root::a_row_put_back_is_refused_and_named,
    root::a_row_taken_away_is_refused_and_named,
    root::a_row_moved_to_another_tenant_is_refused_and_named_in_both,
    root::a_row_that_was_renamed_is_refused_and_named_by_both_names,
    root::two_rows_with_their_seals_swapped_are_refused_and_named,
    root::a_twin_that_was_slipped_in_is_named_and_does_not_exist,
    root::a_directory_put_back_with_its_row_leaves_nothing_to_rely_on,
    root::a_directory_alone_that_was_edited_changes_nothing,
    root::a_root_that_is_not_the_tokens_is_refused_bit_by_bit,
    root::a_change_that_no_root_vouches_for_is_refused_and_the_rest_served,
    root::a_change_hidden_from_a_running_service_stops_every_key,
    root::a_row_put_back_before_the_next_poll_is_refused_and_the_rest_served,
    root::a_whole_store_put_back_under_a_running_service_stops_every_key,
    root::many_writers_at_once_leave_a_root_that_vouches_for_all,
    tokens::an_enrolled_token_opens_every_key_that_can_leave_and_names_the_others,
    tokens::enrolling_goes_on_where_it_was_left,
    tokens::a_token_is_enrolled_for_an_empty_store_and_for_keys_that_cannot_follow,
    tokens::life_goes_on_with_both_tokens_and_each_follows,
    tokens::what_a_missing_token_has_sealed_is_not_written_over_until_it_is_dismissed,
    tokens::a_row_that_was_put_back_is_not_given_another_seal,
    tokens::the_store_outlives_its_token,
    fleet::load_is_shared_by_tokens_that_serve,
    fleet::the_other_token_takes_over_while_one_is_away,
    fleet::the_call_that_finds_a_token_gone_is_answered_by_the_other,
    fleet::a_takeover_gives_no_new_tries_of_a_pin,
    fleet::keys_in_a_token_are_that_tokens_whatever_the_order,
    fleet::what_both_vouch_for_either_can_tell,
    fleet::a_token_joins_a_running_server_once_it_is_enrolled,
    fleet::a_token_of_another_store_is_not_used,
    fleet::tokens_that_all_refuse_stop_open_keys_too,
    rotation::a_server_under_load_goes_on_while_every_record_is_sealed_anew,
    rotation::a_rotation_that_was_killed_goes_on_with_the_key_it_made,
    rotation::a_seal_key_in_use_is_not_destroyed,
    rotation::who_was_not_told_writes_under_the_new_key_all_the_same,
    rotation::keys_move_and_are_moved_during_a_rotation,
    rotation::rotating_one_tokens_key_leaves_the_others_seals,
    backup::a_backup_made_while_keys_change_is_whole_and_can_be_served,
    backup::a_backup_of_a_store_that_was_edited_is_not_kept,
    backup::nothing_is_written_over_and_nothing_bad_restored,
    backup::a_store_older_than_its_checkpoint_is_refused,
    backup::a_checkpoint_that_the_token_did_not_sign_is_refused,
    change::a_key_disabled_by_another_process_stops_within_two_seconds,
    change::a_key_disabled_while_it_loads_does_not_stay_open,
    change::a_retiring_version_takes_in_and_gives_out_nothing,
    change::a_disabled_key_can_be_enabled_again,
    change::a_step_that_is_none_of_life_is_refused,
    change::without_news_of_the_store_no_key_is_used,
    using::a_cold_key_costs_one_load_however_many_ask,
    using::a_key_outside_the_scope_is_as_unknown_as_an_absent_one,
    using::each_key_of_the_template_does_its_work_and_nothing_else,
    using::a_full_cache_still_opens_every_key,
    using::the_cost_of_finding_a_key_is_printed,
    import::a_file_of_known_keys_is_imported,
    import::every_bad_entry_is_told_and_nothing_is_written,
    import::production_takes_no_values_and_no_test_files,
    import::an_import_that_fails_late_leaves_nothing_behind,
    import::single_keys_are_imported_by_call,
    partner::a_partners_public_key_comes_in_as_partners_give_it_and_the_next_one_is_pending,
    partner::what_is_no_partners_key_is_told_and_nothing_is_written,
    partner::a_key_that_fields_are_encrypted_to_is_called_by_its_certificates_number,
    partner::labels_of_a_file_are_few_short_and_have_names,
    partner::nobody_puts_a_key_of_his_own_in_a_partners_place,
    partner::a_moment_that_nobody_wrote_down_can_be_taken_back_and_is_written_down_with_it,
    partner::of_two_moments_that_came_the_newer_version_is_written_down_as_active,
    sign_in::a_terminal_signs_in_under_a_master_key_in_the_token,
    intent::an_intent_put_back_does_not_cost_the_key,
    intent::an_intent_that_somebody_wrote_is_none,
    intent::a_row_taken_away_and_its_intent_put_back_do_not_cost_the_key,
}

const SCENARIO: &str = "PINTLE_TEST_SCENARIO";

fn spawn(kind: Kind, name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::prepare(kind, folder.path());
    let output = child_command(&place, name).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    assert!(
        status.success() && out.contains(&done(name)),
        "{name}: {status}\n{out}\n{err}"
    );
    print!("{}", out.replace(&done(name), ""));
}

fn child_command(place: &Place, name: &str) -> std::process::Command {
    let mut command = place.command(&std::env::current_exe().unwrap());
    command
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(SCENARIO, name);
    command
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
