//! What a ceremony refuses, and that a refusal stores nothing.

use crate::hall::{Hall, INSECURE, Kind, ZPK};
use crate::memory::Needles;
use crate::terminal::Terminal;

const ALICE: &str = "0123456789ABCDEF FEDCBA9876543211";
const BOB: &str = "1111111122222222 3333333344444444";

/// A ceremony of alice and bob, open.
fn opened(more: &str) -> Hall {
    let hall = Hall::new(Kind::Embedded);
    hall.plan("test", &["alice", "bob"], &ZPK, more);
    hall.open();
    hall
}

fn at_component(hall: &Hall, custodian: &str, package: &str) -> Terminal {
    let mut terminal = Terminal::start(hall.sitting(&ZPK, custodian));
    terminal.expect("package: ");
    terminal.line(package);
    terminal.expect("not shown: ");
    terminal
}

/// Types and confirms; the terminal then shows whatever follows.
fn confirmed(hall: &Hall, custodian: &str, package: &str, component: &str) -> Terminal {
    let mut terminal = at_component(hall, custodian, package);
    terminal.line(component);
    terminal.expect("Type yes");
    terminal.line("yes");
    terminal
}

fn entered(hall: &Hall, custodian: &str, package: &str, component: &str) {
    let mut terminal = confirmed(hall, custodian, package, component);
    terminal.expect("then press Enter");
    terminal.line("");
    assert_eq!(terminal.end(), 0, "{}", terminal.shown());
}

/// Who has sat.
fn sat(hall: &Hall) -> Vec<String> {
    let status = hall.json(&["ceremony", "status", ZPK.name]);
    let custodians = status["custodians"].as_array().unwrap().iter();
    custodians
        .filter(|one| !one["entered"].is_null())
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

fn close(hall: &Hall, officer: &str) -> (i32, String, String) {
    hall.run(&[
        "ceremony",
        "close",
        ZPK.name,
        "--officer",
        officer,
        INSECURE,
    ])
}

#[test]
fn zeros_and_wrong_lengths_and_what_is_no_hex_are_refused_at_the_keyboard() {
    let hall = opened("");
    let mut terminal = at_component(&hall, "alice", "P1");
    terminal.line(&"0".repeat(32));
    terminal.expect("zeros only");
    terminal.expect("not shown: ");
    // Bits that DES does not look at are no component either.
    terminal.line(&"01".repeat(16));
    terminal.expect("zeros only");
    terminal.expect("not shown: ");
    terminal.line(&ALICE[1..]);
    terminal.expect("31 digits were taken");
    terminal.expect("exactly as many digits");
    assert_eq!(terminal.end(), 6, "three tries, then it ends");
    assert!(terminal.is_as_before());
    let mut terminal = at_component(&hall, "alice", "P1");
    terminal.line(&format!("{ALICE} 00"));
    terminal.expect("34 digits were taken");
    terminal.expect("not shown: ");
    terminal.line(&ALICE.replace('E', "g"));
    terminal.expect("no hexadecimal digit");
    terminal.expect("not shown: ");
    // Corrected with the backspace key it is taken.
    terminal.line(&format!("{ALICE}7\u{7f}"));
    terminal.expect("Type yes");
    terminal.line("no");
    terminal.expect("not confirmed");
    assert_eq!(terminal.end(), 6);
    assert_eq!(sat(&hall), [""; 0]);
}

#[test]
fn equal_components_and_a_package_that_comes_twice_are_refused() {
    let hall = opened("");
    entered(&hall, "alice", "P1", ALICE);
    let mut terminal = confirmed(&hall, "bob", "P2", ALICE);
    terminal.expect("two components are the same");
    assert_eq!(terminal.end(), 6);
    let mut terminal = confirmed(&hall, "bob", "P1", BOB);
    terminal.expect("this package was entered already");
    assert_eq!(terminal.end(), 7);
    assert_eq!(sat(&hall), ["alice"]);
}

#[test]
fn each_custodian_sits_once_and_nobody_else_sits() {
    let hall = opened("");
    entered(&hall, "alice", "P1", ALICE);
    for (who, why) in [
        ("alice", "has entered a component already"),
        ("mallory", "none of its custodians"),
    ] {
        let mut terminal = Terminal::start(hall.sitting(&ZPK, who));
        terminal.expect(why);
        assert_eq!(terminal.end(), 7, "{who}");
    }
    let (code, _, err) = hall.run(&["ceremony", "open", "ceremony.toml", INSECURE]);
    assert_eq!(code, 7, "a second ceremony for the key: {err}");
}

#[test]
fn the_officer_is_no_custodian_and_closes_only_what_is_whole() {
    let hall = opened("");
    entered(&hall, "alice", "P1", ALICE);
    let (code, _, err) = close(&hall, "dora");
    assert_eq!(code, 7);
    assert!(err.contains("1 of its custodians"), "{err}");
    entered(&hall, "bob", "P2", BOB);
    let (code, _, err) = close(&hall, "bob");
    assert_eq!(code, 7);
    assert!(err.contains("the officer who closes"), "{err}");
    assert_eq!(close(&hall, "dora").0, 0);
    assert_eq!(close(&hall, "dora").0, 3, "it is closed");
}

#[test]
fn components_of_another_key_than_expected_make_none_and_are_destroyed() {
    let hall = opened("check_value = \"000001\"");
    entered(&hall, "alice", "P1", ALICE);
    entered(&hall, "bob", "P2", BOB);
    let (code, _, err) = close(&hall, "dora");
    assert_eq!(code, 6);
    assert!(err.contains("another check value"), "{err}");
    assert_eq!(hall.run(&["keys", "show", ZPK.name]).0, 3);
    let minutes = hall.json(&["ceremony", "minutes", ZPK.name]);
    assert_eq!(minutes[0]["outcome"], "abandoned");
    assert_eq!(close(&hall, "dora").0, 3, "nothing is left to close");
}

#[test]
fn an_abandoned_ceremony_is_destroyed_and_the_next_begins_with_nothing() {
    let hall = opened("");
    entered(&hall, "alice", "P1", ALICE);
    let end = [
        "ceremony",
        "abandon",
        ZPK.name,
        "--officer",
        "dora",
        "--reason",
        "P2 was torn",
    ];
    hall.must(&end);
    assert_eq!(hall.run(&["ceremony", "status", ZPK.name]).0, 3);
    hall.open();
    assert_eq!(sat(&hall), [""; 0], "a component of before is used");
    let minutes = hall.json(&["ceremony", "minutes", ZPK.name]);
    assert_eq!(minutes[0]["reason"], "P2 was torn");
    assert_eq!(minutes[0]["sittings"][0]["package"], "P1");
}

#[test]
fn a_pipe_is_no_custodian() {
    let hall = opened("");
    let who = [
        "ceremony",
        "enter",
        ZPK.name,
        "--custodian",
        "alice",
        INSECURE,
    ];
    let (code, _, err) = hall.run(&who);
    assert_eq!(code, 2);
    assert!(err.contains("not through a pipe"), "{err}");
}

#[test]
fn ctrl_c_and_a_signal_give_the_terminal_back_and_store_nothing() {
    let hall = opened("");
    let component = Needles::of_component(&hex::decode(ALICE.replace(' ', "")).unwrap(), ALICE);
    for how in ["ctrl-c", "INT", "TERM", "HUP", "QUIT"] {
        let mut terminal = at_component(&hall, "alice", "P1");
        terminal.press(ALICE);
        assert!(!terminal.is_as_before());
        if how == "ctrl-c" {
            terminal.press("\u{3}");
        } else {
            let process = terminal.process().to_string();
            let mut kill = std::process::Command::new("kill");
            assert!(kill.args(["-s", how, &process]).status().unwrap().success());
        }
        terminal.expect("nothing of this step was stored");
        assert_eq!(terminal.end(), 1, "{how}");
        assert!(terminal.is_as_before(), "{how}: the terminal stays silent");
        assert_eq!(component.found_in(terminal.shown().as_bytes()), []);
        assert_eq!(component.found_in_files(hall.path()), [""; 0]);
    }
    assert_eq!(sat(&hall), [""; 0]);
}

#[test]
fn ctrl_c_when_the_sitting_is_over_takes_nothing_back() {
    let hall = opened("");
    let mut terminal = confirmed(&hall, "alice", "P1", ALICE);
    terminal.expect("then press Enter");
    terminal.press("\u{3}");
    terminal.expect("stays: it was stored before");
    assert_eq!(terminal.end(), 0);
    assert!(terminal.is_as_before());
    assert_eq!(sat(&hall), ["alice"]);
}

#[test]
fn nothing_is_typed_here_unless_the_dangerous_word_is_said() {
    let hall = Hall::new(Kind::Embedded);
    hall.plan("test", &["alice", "bob"], &ZPK, "");
    for step in [
        &["ceremony", "open", "ceremony.toml"][..],
        &["ceremony", "enter", ZPK.name, "--custodian", "alice"],
        &["ceremony", "close", ZPK.name, "--officer", "dora"],
    ] {
        let (code, _, err) = hall.run(step);
        assert_eq!(code, 2, "{step:?}");
        assert!(err.contains(INSECURE), "{err}");
    }
    let open = hall.run(&["ceremony", "open", "ceremony.toml", INSECURE]);
    assert!(open.2.contains("HOST_COMPONENTS for ever"), "{}", open.2);
}

#[test]
fn production_takes_no_components_until_somebody_answers_for_it() {
    let hall = Hall::new(Kind::SoftHsm);
    let accepted = "\"accepted-by: A. Owner, 2026-11-23\"";
    let production = format!("environment = \"production\"\nhost_pin_processing = {accepted}");
    hall.configure(Kind::SoftHsm, &production);
    hall.plan("production", &["alice", "bob"], &ZPK, "");
    let open = ["ceremony", "open", "ceremony.toml", INSECURE];
    let (code, _, err) = hall.run(&open);
    assert_eq!(code, 2);
    assert!(err.contains("host_components"), "{err}");
    hall.configure(
        Kind::SoftHsm,
        &format!("{production}\nhost_components = {accepted}"),
    );
    let (code, _, err) = hall.run(&open);
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("A. Owner"), "who answers is not said: {err}");
}

#[test]
fn a_draft_and_minutes_that_somebody_edited_are_refused() {
    let hall = opened("");
    entered(&hall, "alice", "P1", ALICE);
    let edit = |from: &str, to: &str| {
        let file = rusqlite::Connection::open(hall.path().join("store.sqlite")).unwrap();
        assert_eq!(from.len(), to.len());
        let body: Vec<u8> = file
            .query_row("SELECT body FROM document", [], |row| row.get(0))
            .unwrap();
        let at = body
            .windows(from.len())
            .position(|one| one == from.as_bytes());
        let at = at.unwrap();
        let mut edited = body.clone();
        edited[at..at + to.len()].copy_from_slice(to.as_bytes());
        file.execute("UPDATE document SET body = ?1", [edited])
            .unwrap();
    };
    let end = [
        "ceremony",
        "abandon",
        ZPK.name,
        "--officer",
        "dora",
        "--reason",
        "torn",
    ];
    edit("bob", "eve");
    let (code, _, err) = hall.run(&["ceremony", "status", ZPK.name]);
    assert_eq!(code, 6, "{err}");
    let (code, _, err) = hall.run(&end);
    assert_eq!(code, 6, "{err}");
    assert!(err.contains("destroyed without minutes"), "{err}");
    hall.open();
    entered(&hall, "alice", "P1", ALICE);
    hall.must(&end);
    edit("P1", "P7");
    let (code, _, err) = hall.run(&["ceremony", "minutes", ZPK.name]);
    assert_eq!(code, 6, "{err}");
}
