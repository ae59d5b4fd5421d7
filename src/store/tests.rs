//! What the store promises, against a real file.

mod budget;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::limits;
use crate::store::change::{
    Answer, Beside, Change, Delete, DocumentPut, Put, RequestId, StoredRoot,
};
use crate::store::error::Error;
use crate::store::{Changed, RecordId, Store, StoredRecord, StoredSeal};

fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    (folder, path)
}

fn record(name: &str, version: u32) -> StoredRecord {
    StoredRecord {
        id: RecordId {
            tenant: "default".into(),
            name: name.into(),
            version,
        },
        header: format!("header of {name} {version}").into_bytes(),
        seals: vec![StoredSeal {
            token_id: [1; 16],
            seal_key_id: [2; 16],
            iv: [3; 12],
            sealed: vec![4; 40],
        }],
    }
}

fn root(generation: u64) -> StoredRoot {
    StoredRoot {
        token_id: [1; 16],
        generation,
        count: 1,
        sum: [2; 32],
        nonce: [3; 16],
        index_key: [4; 32],
        mac: [5; 32],
    }
}

fn put(expected_header: Option<Vec<u8>>, record: StoredRecord) -> Put {
    Put {
        expected_header,
        record,
        tag: [7; 16],
    }
}

fn change(expected_generation: u64, puts: Vec<Put>) -> Change {
    Change {
        expected_generation,
        puts,
        roots: vec![root(expected_generation + 1)],
        ..Change::default()
    }
}

fn commit(store: &Store, change: Change) -> Result<u64, Error> {
    store.commit(deadline(), change).wait()
}

/// Writes new records over whatever generation there is.
fn insert(store: &Store, records: Vec<StoredRecord>) -> Result<u64, Error> {
    let generation = store.generation(deadline()).wait()?;
    let puts = records.into_iter().map(|record| put(None, record));
    commit(store, change(generation, puts.collect()))
}

fn replace(store: &Store, header: Vec<u8>, record: StoredRecord) -> Result<u64, Error> {
    let generation = store.generation(deadline()).wait()?;
    commit(store, change(generation, vec![put(Some(header), record)]))
}

#[test]
fn what_was_inserted_is_read_back_newest_version_first_also_after_reopening() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let records = vec![record("a", 1), record("a", 2), record("b", 1)];
    insert(&store, records).unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    let versions = store.versions(deadline(), "default", "a").wait().unwrap();
    assert_eq!(versions, vec![record("a", 2), record("a", 1)]);
    assert_eq!(
        store.versions(deadline(), "other", "a").wait().unwrap(),
        vec![]
    );
}

#[test]
fn the_file_is_readable_by_its_owner_alone() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    insert(&store, vec![record("a", 1)]).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{}{suffix}", path.display());
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} has mode {mode:o}");
    }
}

#[test]
fn an_insert_is_all_or_nothing_and_names_the_record_that_is_there() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    insert(&store, vec![record("b", 1)]).unwrap();
    let refused = insert(&store, vec![record("a", 1), record("b", 1)]);
    assert!(matches!(refused, Err(Error::Exists(id)) if id == record("b", 1).id));
    assert_eq!(
        store.versions(deadline(), "default", "a").wait().unwrap(),
        vec![]
    );
    assert_eq!(store.generation(deadline()).wait().unwrap(), 1);
}

#[test]
fn each_write_raises_the_generation_and_names_what_changed() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.generation(deadline()).wait().unwrap(), 0);
    assert_eq!(insert(&store, vec![record("a", 1)]).unwrap(), 1);
    assert_eq!(insert(&store, vec![record("b", 1)]).unwrap(), 2);
    let mut changed = record("a", 1);
    changed.header = b"another".to_vec();
    let old = record("a", 1).header;
    assert_eq!(replace(&store, old, changed).unwrap(), 3);
    let changes = store.changed_since(deadline(), 2).wait().unwrap();
    assert_eq!(changes.generation, 3);
    assert_eq!(
        changes.names,
        Changed::Names(vec![("default".into(), "a".into())])
    );
    assert_eq!(changes.records.len(), 1);
    assert_eq!(changes.records[0].header, b"another");
    assert_eq!(changes.roots, [root(3)]);
    let changes = store.changed_since(deadline(), 3).wait().unwrap();
    assert_eq!(changes.names, Changed::Names(vec![]));
}

#[test]
fn a_store_that_went_back_in_time_counts_as_changed_everywhere() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let changes = store.changed_since(deadline(), 7).wait().unwrap();
    assert_eq!(
        (changes.generation, changes.names),
        (0, Changed::Everything)
    );
}

#[test]
fn a_replace_over_a_header_that_changed_meanwhile_is_refused() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    insert(&store, vec![record("a", 1)]).unwrap();
    let refused = replace(&store, b"not this".to_vec(), record("a", 1));
    assert!(matches!(refused, Err(Error::Changed(id)) if id == record("a", 1).id));
    assert_eq!(store.generation(deadline()).wait().unwrap(), 1);
}

#[test]
fn a_write_through_one_handle_is_seen_through_another() {
    let (_folder, path) = place();
    let (one, other) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
    insert(&one, vec![record("a", 1)]).unwrap();
    assert_eq!(other.generation(deadline()).wait().unwrap(), 1);
    assert_eq!(
        other
            .versions(deadline(), "default", "a")
            .wait()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_listing_walks_every_page_in_order_and_by_tenant() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let count = limits::STORE_PAGE_RECORDS + 3;
    let records: Vec<_> = (0..count)
        .map(|number| record(&format!("k{number:05}"), 1))
        .collect();
    insert(&store, records.clone()).unwrap();
    let first = store
        .list(deadline(), Some("default"), None)
        .wait()
        .unwrap();
    assert_eq!(first, records[..limits::STORE_PAGE_RECORDS]);
    let after = first.last().map(|record| record.id.clone());
    let second = store.list(deadline(), None, after).wait().unwrap();
    assert_eq!(second, records[limits::STORE_PAGE_RECORDS..]);
    assert_eq!(
        store.list(deadline(), Some("other"), None).wait().unwrap(),
        vec![]
    );
}

#[test]
fn a_record_out_of_bounds_is_not_written_and_a_row_out_of_bounds_is_not_read() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let mut long = record("a", 1);
    long.header = vec![0; limits::RECORD_HEADER_BYTES_MAX + 1];
    let refused = insert(&store, vec![long]);
    assert!(matches!(refused, Err(Error::RecordBounds(_))));
    insert(&store, vec![record("a", 1)]).unwrap();
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute("UPDATE key_record SET header = zeroblob(100000)", [])
        .unwrap();
    let refused = store.versions(deadline(), "default", "a").wait();
    assert!(matches!(refused, Err(Error::RowBounds(id)) if id == record("a", 1).id));
}

#[test]
fn a_file_of_another_make_or_schema_is_refused() {
    let (folder, path) = place();
    std::fs::write(
        &path,
        b"not a database, but long enough to look like one to nobody at all",
    )
    .unwrap();
    assert!(matches!(Store::open(&path), Err(Error::Foreign(_))));
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    assert!(matches!(Store::open(&other), Err(Error::Foreign(_))));
    let older = folder.path().join("older.db");
    drop(Store::open(&older).unwrap());
    rusqlite::Connection::open(&older)
        .unwrap()
        .execute("UPDATE meta SET value = 1 WHERE key = 'schema'", [])
        .unwrap();
    assert!(matches!(Store::open(&older), Err(Error::Foreign(_))));
}

#[test]
fn a_call_whose_deadline_has_passed_is_not_made() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let past = Instant::now();
    let write = change(0, vec![put(None, record("a", 1))]);
    let refused = store.commit(past, write).wait();
    assert!(matches!(refused, Err(Error::Deadline)));
    assert_eq!(store.generation(deadline()).wait().unwrap(), 0);
}

#[test]
fn a_file_locked_by_another_process_answers_at_the_deadline() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    let refused = store
        .commit(
            started + Duration::from_millis(300),
            change(0, vec![put(None, record("a", 1))]),
        )
        .wait();
    assert!(matches!(refused, Err(Error::Deadline)));
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "took {:?}",
        started.elapsed()
    );
    assert_eq!(
        store.generation(deadline()).wait().unwrap(),
        0,
        "readers go on"
    );
}

#[test]
fn the_advisory_lock_is_held_by_one_and_the_next_waits_or_is_refused() {
    let (_folder, path) = place();
    let (one, other) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
    let guard = one.advisory_lock(Duration::ZERO).unwrap();
    let refused = other.advisory_lock(Duration::from_millis(100)).unwrap_err();
    assert!(
        refused.to_string().contains("another `pintle keys apply`"),
        "{refused}"
    );
    let waiting = std::thread::spawn(move || other.advisory_lock(Duration::from_secs(10)));
    std::thread::sleep(Duration::from_millis(100));
    drop(guard);
    waiting.join().unwrap().unwrap();
}

#[test]
fn many_handles_may_create_the_same_file_at_once() {
    let (_folder, path) = place();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            std::thread::spawn(move || Store::open(&path).map(drop))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_reply_can_be_awaited_and_also_waited_for_inside_a_runtime() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    assert_eq!(
        store
            .commit(deadline(), change(0, vec![put(None, record("a", 1))]))
            .await
            .unwrap(),
        1
    );
    assert_eq!(store.generation(deadline()).wait().unwrap(), 1);
}

#[test]
fn the_file_is_kept_in_wal_with_full_synchronization() {
    let (_folder, path) = place();
    let _store = Store::open(&path).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mode: String = connection
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    let strict: i64 = connection
        .query_row(
            "SELECT count(*) FROM pragma_table_list WHERE strict = 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(strict, 9);
}

#[test]
fn a_store_that_was_closed_is_one_file() {
    let (folder, path) = place();
    let store = Store::open(&path).unwrap();
    insert(&store, vec![record("a", 1)]).unwrap();
    drop(store);
    let files = std::fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().contains("-wal")),
        "{names:?}"
    );
}

#[test]
fn a_foreign_file_is_left_as_it_is() {
    let (_folder, path) = place();
    rusqlite::Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE t (a)")
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(Error::Foreign(_))));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn of_two_changes_from_one_generation_the_second_is_told_that_the_store_moved() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    assert_eq!(
        commit(&store, change(0, vec![put(None, record("a", 1))])).unwrap(),
        1
    );
    let refused = commit(&store, change(0, vec![put(None, record("b", 1))]));
    assert!(matches!(refused, Err(Error::Moved(1))), "{refused:?}");
    assert_eq!(
        store.versions(deadline(), "default", "b").wait().unwrap(),
        vec![]
    );
    assert_eq!(store.roots(deadline()).wait().unwrap(), [root(1)]);
}

#[test]
fn a_change_without_a_root_of_the_next_generation_is_not_made() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    for roots in [vec![], vec![root(0)], vec![root(2)], vec![root(1), root(2)]] {
        let write = Change {
            roots,
            ..change(0, vec![put(None, record("a", 1))])
        };
        assert!(matches!(commit(&store, write), Err(Error::ChangeBounds)));
    }
}

#[test]
fn a_deleted_record_is_gone_named_to_those_who_poll_and_may_come_again() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    insert(&store, vec![record("a", 1), record("b", 1)]).unwrap();
    let delete = |expected_header: &[u8], generation| Change {
        deletes: vec![Delete {
            id: record("a", 1).id,
            expected_header: expected_header.to_vec(),
        }],
        ..change(generation, vec![])
    };
    let refused = commit(&store, delete(b"another", 1));
    assert!(matches!(refused, Err(Error::Changed(id)) if id == record("a", 1).id));
    commit(&store, delete(&record("a", 1).header, 1)).unwrap();
    let changes = store.changed_since(deadline(), 1).wait().unwrap();
    let named = Changed::Names(vec![("default".into(), "a".into())]);
    assert_eq!((changes.names, changes.records), (named.clone(), vec![]));
    insert(&store, vec![record("a", 1)]).unwrap();
    let changes = store.changed_since(deadline(), 2).wait().unwrap();
    assert_eq!(
        (changes.names, changes.records),
        (named, vec![record("a", 1)])
    );
    let mut directory = Vec::new();
    let snapshot = store.snapshot().unwrap();
    let read = snapshot.directory(|row| {
        directory.push((row.name.to_owned(), row.tag));
        Ok::<_, Error>(())
    });
    read.unwrap();
    assert_eq!(
        directory,
        [("a".to_owned(), [7; 16]), ("b".to_owned(), [7; 16])]
    );
}

#[test]
fn a_snapshot_is_of_one_moment_however_much_is_written_meanwhile() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    insert(&store, vec![record("a", 1), record("b", 1)]).unwrap();
    let snapshot = store.snapshot().unwrap();
    insert(&store, vec![record("c", 1)]).unwrap();
    let mut seen = Vec::new();
    let read = snapshot.records(|row| {
        let seals = crate::store::seals::decode(row.seals).unwrap();
        assert_eq!(seals, record(row.name, 1).seals);
        seen.push(row.name.to_owned());
        Ok::<_, Error>(())
    });
    read.unwrap();
    assert_eq!(seen, ["a", "b"]);
    assert_eq!(
        (snapshot.generation().unwrap(), snapshot.roots().unwrap()),
        (1, vec![root(1)])
    );
}

fn minutes(expected_revision: u64, body: &str) -> DocumentPut {
    DocumentPut {
        kind: "minutes".into(),
        id: "m1".into(),
        expected_revision,
        body: body.into(),
    }
}

#[test]
fn a_document_is_written_over_the_revision_that_was_read_and_no_other() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let write = |document| {
        let documents = vec![document];
        let beside = Beside {
            documents,
            answer: None,
        };
        store.write_beside(deadline(), beside).wait()
    };
    write(minutes(0, "one")).unwrap();
    for stale in [0, 2] {
        assert!(matches!(
            write(minutes(stale, "two")),
            Err(Error::DocumentMoved)
        ));
    }
    write(minutes(1, "two")).unwrap();
    let read = store
        .document(deadline(), "minutes", "m1")
        .wait()
        .unwrap()
        .unwrap();
    assert_eq!((read.revision, read.body.as_slice()), (2, &b"two"[..]));
    assert_eq!(
        store.documents(deadline(), "minutes", "").wait().unwrap(),
        [read]
    );
    assert_eq!(
        store.documents(deadline(), "minutes", "m1").wait().unwrap(),
        []
    );
    assert_eq!(store.documents(deadline(), "other", "").wait().unwrap(), []);
    let delete = |revision| {
        store
            .delete_document(deadline(), "minutes", "m1", revision)
            .wait()
    };
    assert!(matches!(delete(1), Err(Error::DocumentMoved)));
    delete(2).unwrap();
    assert_eq!(
        store.document(deadline(), "minutes", "m1").wait().unwrap(),
        None
    );
    assert_eq!(
        store.generation(deadline()).wait().unwrap(),
        0,
        "no change of the catalogue"
    );
    assert!(matches!(
        write(minutes(0, &"x".repeat(limits::DOCUMENT_BYTES_MAX + 1))),
        Err(Error::ChangeBounds)
    ));
}

#[test]
fn documents_and_the_answer_go_with_the_records_or_not_at_all() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let request = RequestId {
        tenant: "default".into(),
        caller: "spiffe://a/b".into(),
        id: "r1".into(),
    };
    let answered = |generation, name: &str, now| Change {
        beside: Beside {
            documents: vec![minutes(generation, "said")],
            answer: Some(Answer {
                request: request.clone(),
                body: name.into(),
                now,
                expires: now + 100,
            }),
        },
        ..change(generation, vec![put(None, record(name, 1))])
    };
    let answer = |now| {
        store
            .answer(deadline(), request.clone(), now)
            .wait()
            .unwrap()
    };
    commit(&store, answered(0, "a", 1000)).unwrap();
    assert_eq!(answer(1050).as_deref(), Some(&b"a"[..]));
    // The same call again: nothing of it is written.
    let refused = commit(&store, answered(1, "b", 1050));
    assert!(matches!(refused, Err(Error::Answered)), "{refused:?}");
    assert_eq!(
        store.versions(deadline(), "default", "b").wait().unwrap(),
        vec![]
    );
    let read = store
        .document(deadline(), "minutes", "m1")
        .wait()
        .unwrap()
        .unwrap();
    assert_eq!(read.revision, 1);
    // After its time it is another call.
    assert_eq!(answer(1100), None);
    commit(&store, answered(1, "b", 1100)).unwrap();
    assert_eq!(answer(1100).as_deref(), Some(&b"b"[..]));
}
