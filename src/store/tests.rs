//! What the store promises, against a real file.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::limits;
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

#[test]
fn what_was_inserted_is_read_back_newest_version_first_also_after_reopening() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    store
        .insert(
            deadline(),
            vec![record("a", 1), record("a", 2), record("b", 1)],
        )
        .wait()
        .unwrap();
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
    store
        .insert(deadline(), vec![record("a", 1)])
        .wait()
        .unwrap();
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
    store
        .insert(deadline(), vec![record("b", 1)])
        .wait()
        .unwrap();
    let refused = store
        .insert(deadline(), vec![record("a", 1), record("b", 1)])
        .wait();
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
    assert_eq!(
        store
            .insert(deadline(), vec![record("a", 1)])
            .wait()
            .unwrap(),
        1
    );
    assert_eq!(
        store
            .insert(deadline(), vec![record("b", 1)])
            .wait()
            .unwrap(),
        2
    );
    let mut changed = record("a", 1);
    changed.header = b"another".to_vec();
    let old = record("a", 1).header;
    assert_eq!(store.replace(deadline(), old, changed).wait().unwrap(), 3);
    let changes = store.changed_since(deadline(), 2).wait().unwrap();
    assert_eq!(changes.generation, 3);
    assert_eq!(
        changes.names,
        Changed::Names(vec![("default".into(), "a".into())])
    );
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
    store
        .insert(deadline(), vec![record("a", 1)])
        .wait()
        .unwrap();
    let refused = store
        .replace(deadline(), b"not this".to_vec(), record("a", 1))
        .wait();
    assert!(matches!(refused, Err(Error::Changed(id)) if id == record("a", 1).id));
    assert_eq!(store.generation(deadline()).wait().unwrap(), 1);
}

#[test]
fn a_write_through_one_handle_is_seen_through_another() {
    let (_folder, path) = place();
    let (one, other) = (Store::open(&path).unwrap(), Store::open(&path).unwrap());
    one.insert(deadline(), vec![record("a", 1)]).wait().unwrap();
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
    store.insert(deadline(), records.clone()).wait().unwrap();
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
    let refused = store.insert(deadline(), vec![long]).wait();
    assert!(matches!(refused, Err(Error::RecordBounds(_))));
    store
        .insert(deadline(), vec![record("a", 1)])
        .wait()
        .unwrap();
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
    let newer = folder.path().join("newer.db");
    drop(Store::open(&newer).unwrap());
    rusqlite::Connection::open(&newer)
        .unwrap()
        .execute("UPDATE meta SET value = 2 WHERE key = 'schema'", [])
        .unwrap();
    assert!(matches!(Store::open(&newer), Err(Error::Foreign(_))));
}

#[test]
fn a_call_whose_deadline_has_passed_is_not_made() {
    let (_folder, path) = place();
    let store = Store::open(&path).unwrap();
    let past = Instant::now();
    let refused = store.insert(past, vec![record("a", 1)]).wait();
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
        .insert(started + Duration::from_millis(300), vec![record("a", 1)])
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
            .insert(deadline(), vec![record("a", 1)])
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
    assert_eq!(strict, 3);
}

#[test]
fn a_store_that_was_closed_is_one_file() {
    let (folder, path) = place();
    let store = Store::open(&path).unwrap();
    store
        .insert(deadline(), vec![record("a", 1)])
        .wait()
        .unwrap();
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
