//! What an intent does for somebody who can write the store: nothing.

use pintle::keys::reconcile::reconcile;

use crate::desk::{Desk, soon, template};
use crate::place::Place;

const TWO: &str = r#"
[[key]]
name = "one"
usage = "signature"
mode = "sign"
algorithm = "RSA-2048"
signature = { scheme = "RSA2" }

[[key]]
name = "two"
usage = "signature"
mode = "sign"
algorithm = "RSA-2048"
signature = { scheme = "RSA2" }
"#;

pub fn an_intent_put_back_does_not_cost_the_key(place: &Place) {
    let desk = with_two_keys(place);
    put_back(&desk, "SELECT kind, id, 1, body FROM kept");
    assert_eq!(
        desk.runtime.block_on(reconcile(&desk.catalogue)).unwrap(),
        2
    );
    assert_eq!((objects(&desk), intents(&desk)), (2, 0));
    assert!(desk.resolve(&desk.fresh(), "one").is_ok());
}

pub fn an_intent_that_somebody_wrote_is_none(place: &Place) {
    let desk = with_two_keys(place);
    let forgeries = [
        // One key's intent in the name of the other's object.
        "SELECT a.kind, a.id, 1, b.body FROM kept a, kept b WHERE a.id <> b.id",
        // The name of a key that does not exist, in the place of a real one's.
        "SELECT kind, id, 1, CAST(replace(CAST(body AS TEXT), 'one', 'ono') AS BLOB) FROM kept",
        "SELECT kind, id, 1, x'00' FROM kept",
        "SELECT kind, 'x', 1, body FROM kept LIMIT 1",
    ];
    for forgery in forgeries {
        put_back(&desk, forgery);
        let done = desk.runtime.block_on(reconcile(&desk.catalogue)).unwrap();
        // The second leaves the other key's intent as it was.
        assert!(done < 2, "{forgery}");
        assert_eq!(objects(&desk), 2, "{forgery}");
        desk.file().execute("DELETE FROM document", []).unwrap();
    }
}

pub fn a_row_taken_away_and_its_intent_put_back_do_not_cost_the_key(place: &Place) {
    let desk = with_two_keys(place);
    desk.file()
        .execute("DELETE FROM key_record WHERE name = 'one'", [])
        .unwrap();
    for catalogue in [&desk.catalogue, &desk.fresh()] {
        put_back(&desk, "SELECT kind, id, 1, body FROM kept");
        desk.runtime.block_on(reconcile(catalogue)).unwrap();
        assert_eq!(objects(&desk), 2);
        desk.file().execute("DELETE FROM document", []).unwrap();
    }
}

/// With a hand in the file that keeps every intent that is written.
fn with_two_keys(place: &Place) -> Desk {
    let desk = Desk::set_up(place);
    desk.file()
        .execute_batch(
            "CREATE TABLE kept AS SELECT kind, id, body FROM document WHERE kind = 'intent';
             CREATE TRIGGER keep AFTER INSERT ON document WHEN new.kind = 'intent'
             BEGIN INSERT INTO kept VALUES (new.kind, new.id, new.body); END",
        )
        .unwrap();
    desk.apply(&template(TWO)).unwrap();
    desk.file().execute("DROP TRIGGER keep", []).unwrap();
    assert_eq!((objects(&desk), intents(&desk)), (2, 0));
    desk
}

fn put_back(desk: &Desk, rows: &str) {
    let insert = format!("INSERT INTO document (kind, id, revision, body) {rows}");
    assert!(desk.file().execute(&insert, []).unwrap() > 0);
}

fn intents(desk: &Desk) -> u32 {
    let count = "SELECT count(*) FROM document WHERE kind = 'intent'";
    desk.file().query_row(count, [], |row| row.get(0)).unwrap()
}

fn objects(desk: &Desk) -> usize {
    let report = desk.token.key_report(soon()).wait().unwrap();
    report
        .iter()
        .filter(|row| row.label == "pintle-rsa")
        .count()
}
