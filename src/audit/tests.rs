//! The journal's claims: durable before answered, chained, whole, bounded and failing closed.
//! Power loss itself is not simulated: a crash is a file cut at any byte.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::chain::{Head, Walk, verify};
use super::*;

fn record(number: usize) -> Record {
    Record {
        caller: format!("spiffe://shop.example/till/{number}"),
        rpc: "/pintle.v1.PinService/TranslatePin",
        request_id: format!("{number:032x}"),
        keys: vec![("tpk-till".into(), 1), ("zpk-acquirer".into(), 7)],
        outcome: if number.is_multiple_of(5) {
            "INVALID_ARGUMENT"
        } else {
            "OK"
        },
        reason: number.is_multiple_of(5).then_some("PIN_BLOCK_REJECTED"),
    }
}

fn journal_with(records: usize) -> (tempfile::TempDir, PathBuf) {
    // In memory where there is such a folder: what is shown here does not need the disk's fsync.
    let shared_memory = Path::new("/dev/shm");
    let folder = if shared_memory.is_dir() {
        shared_memory.into()
    } else {
        std::env::temp_dir()
    };
    let folder = tempfile::tempdir_in(folder).unwrap();
    let path = folder.path().join("audit.jsonl");
    let journal = Journal::open(&path, JournalOptions::default()).unwrap();
    let waiting: Vec<_> = (1..=records)
        .map(|number| journal.append(record(number)))
        .collect();
    for append in waiting {
        append.wait().unwrap();
    }
    (folder, path)
}

fn torn_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.to_string_lossy().contains(".torn-"))
        .collect()
}

#[test]
fn a_line_says_these_fields_in_this_order() {
    let (_folder, path) = journal_with(1);
    let text = fs::read_to_string(path).unwrap();
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["seq"], 1);
    assert_eq!(line["keys"][1][0], "zpk-acquirer");
    assert_eq!(line["prev"], "0".repeat(64));
    let time = line["time"].as_str().unwrap();
    assert!(
        time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.',
        "{time}"
    );
    time.parse::<jiff::Timestamp>().unwrap();
    let at = |name: &str| text.find(&format!("\"{name}\":")).unwrap();
    let order = [
        "seq",
        "time",
        "caller",
        "rpc",
        "request_id",
        "keys",
        "outcome",
        "reason",
    ];
    assert!(order.map(at).is_sorted() && at("reason") < at("prev") && at("prev") < at("hash"));
}

#[test]
fn the_hash_is_sha256_of_prev_and_the_line_up_to_prev() {
    use sha2::{Digest, Sha256};
    let (_folder, path) = journal_with(2);
    let text = fs::read_to_string(path).unwrap();
    let mut prev = [0u8; 32].to_vec();
    for line in text.lines() {
        let body = format!("{}}}", line.split(",\"prev\":").next().unwrap());
        prev = Sha256::new()
            .chain_update(&prev)
            .chain_update(body)
            .finalize()
            .to_vec();
        assert!(line.ends_with(&format!("\"hash\":\"{}\"}}", hex::encode(&prev))));
    }
}

#[test]
fn a_chain_continues_over_a_reopening() {
    let (_folder, path) = journal_with(3);
    let journal = Journal::open(&path, JournalOptions::default()).unwrap();
    journal.append(record(4)).wait().unwrap();
    let summary = verify_file(&path).unwrap();
    assert_eq!(summary.records, 4);
    assert!(summary.first <= summary.last);
}

#[test]
fn an_empty_journal_is_sound() {
    let (_folder, path) = journal_with(0);
    assert_eq!(verify_file(&path).unwrap().records, 0);
}

#[tokio::test]
async fn many_tasks_append_at_once_and_each_is_recorded_once() {
    let (_folder, path) = journal_with(0);
    let journal = Journal::open(
        &path,
        JournalOptions {
            queue: 4096,
            batch: 64,
        },
    )
    .unwrap();
    let tasks: Vec<_> = (1..=2000)
        .map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(record(number)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    drop(journal);
    assert_eq!(verify_file(&path).unwrap().records, 2000);
    let text = fs::read_to_string(&path).unwrap();
    assert!((1..=2000).all(|n| text.matches(&record(n).request_id).count() == 1));
}

#[test]
fn a_record_whose_caller_left_is_written_all_the_same() {
    let (_folder, path) = journal_with(0);
    let journal = Journal::open(&path, JournalOptions::default()).unwrap();
    drop(journal.append(record(1)));
    drop(journal);
    assert_eq!(verify_file(&path).unwrap().records, 1);
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let (_folder, path) = journal_with(1);
    let first = Journal::open(&path, JournalOptions::default()).unwrap();
    let second = Journal::open(&path, JournalOptions::default());
    assert!(matches!(second.err(), Some(Error::InUse)));
    drop(first);
    assert!(Journal::open(&path, JournalOptions::default()).is_ok());
}

#[test]
fn a_failed_write_fails_every_later_append() {
    let journal = Journal::on(
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap(),
    );
    assert!(matches!(
        journal.append(record(1)).wait(),
        Err(Error::Failed)
    ));
    assert!(journal.has_failed());
    assert!(matches!(
        journal.append(record(2)).wait(),
        Err(Error::Failed)
    ));
}

#[test]
fn a_failed_sync_fails_every_later_append() {
    // /dev/null takes the write and refuses fdatasync.
    let journal = Journal::on(
        fs::OpenOptions::new()
            .write(true)
            .open("/dev/null")
            .unwrap(),
    );
    assert!(matches!(
        journal.append(record(1)).wait(),
        Err(Error::Failed)
    ));
    assert!(matches!(
        journal.append(record(2)).wait(),
        Err(Error::Failed)
    ));
}

#[test]
fn a_full_queue_answers_busy() {
    // A full pipe that nobody reads holds the writer.
    let (reader, mut pipe) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut pipe, &[0; 64 * 1024]).unwrap();
    let journal = Journal::on(fs::File::from(std::os::fd::OwnedFd::from(pipe)));
    let waiting: Vec<_> = (0..20_000)
        .map(|number| journal.append(record(number)))
        .collect();
    drop(reader);
    let outcomes: Vec<_> = waiting.into_iter().map(Append::wait).collect();
    assert!(
        outcomes
            .iter()
            .any(|outcome| matches!(outcome, Err(Error::Busy)))
    );
    assert!(outcomes.iter().all(Result::is_err));
}

#[test]
fn names_out_of_bounds_are_refused_before_they_are_queued() {
    let (_folder, path) = journal_with(0);
    let journal = Journal::open(&path, JournalOptions::default()).unwrap();
    let with = |change: fn(&mut Record)| {
        let mut changed = record(1);
        change(&mut changed);
        journal.append(changed).wait()
    };
    let changes: [fn(&mut Record); 6] = [
        |record| record.caller = "a\nb".into(),
        |record| record.caller = "é".into(),
        |record| record.request_id = "x".repeat(257),
        |record| record.keys[0].0 = String::new(),
        |record| record.keys[0].0 = "Zpk \"quoted\"".into(),
        |record| record.keys = vec![("k".into(), 1); 17],
    ];
    for change in changes {
        assert!(matches!(with(change), Err(Error::RecordMalformed)));
    }
    assert!(matches!(
        with(|record| record.caller = "a\"b\\c".into()),
        Ok(())
    ));
    assert_eq!(verify_file(&path).unwrap().records, 1);
}

#[test]
fn the_longest_record_fits_a_line() {
    let (_folder, path) = journal_with(0);
    let journal = Journal::open(&path, JournalOptions::default()).unwrap();
    let mut longest = record(1);
    longest.caller = "\"".repeat(256);
    longest.request_id = "\\".repeat(256);
    longest.keys = vec![("k".repeat(63), u32::MAX); 16];
    journal.append(longest).wait().unwrap();
    assert_eq!(verify_file(&path).unwrap().records, 1);
}

#[test]
fn a_line_torn_at_any_byte_is_kept_aside_and_the_chain_says_so() {
    let (folder, path) = journal_with(3);
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|&b| b == b'\n')
        .unwrap()
        + 1;
    for cut in last + 1..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert!(matches!(verify_file(&path).unwrap_err().what, Fault::Torn));
        drop(Journal::open(&path, JournalOptions::default()).unwrap());
        assert_eq!(
            verify_file(&path).unwrap().records,
            3,
            "two sound, one that tells of the cut"
        );
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.lines()
                .last()
                .unwrap()
                .contains("TORN_LINE_KEPT_ASIDE")
        );
        let kept = torn_files(folder.path());
        assert_eq!(kept.len(), 1);
        assert_eq!(fs::read(&kept[0]).unwrap(), &whole[last..cut]);
        fs::remove_file(&kept[0]).unwrap();
    }
    fs::write(&path, &whole[..last]).unwrap();
    drop(Journal::open(&path, JournalOptions::default()).unwrap());
    assert!(
        torn_files(folder.path()).is_empty(),
        "a cut between lines leaves nothing torn"
    );
}

#[test]
fn a_broken_chain_does_not_open() {
    let (_folder, path) = journal_with(3);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let broken = [
        [lines[0], lines[2]].join("\n"),
        [lines[1], lines[0], lines[2]].join("\n"),
        [lines[0], lines[1], lines[1], lines[2]].join("\n"),
        [lines[1], lines[2]].join("\n"),
        text.trim_end().replace("OK", "ok"),
    ];
    for text in broken {
        fs::write(&path, text + "\n").unwrap();
        let refused = Journal::open(&path, JournalOptions::default());
        assert!(matches!(refused.err(), Some(Error::Broken(_))));
        assert!(verify_file(&path).is_err());
    }
}

#[test]
fn a_record_rehashed_elsewhere_is_found_by_its_number_or_its_link() {
    let line = |mut head: Head, text: &mut Vec<u8>| {
        let body = text.len();
        let written = record(1).write_body(head.seq + 1, "2026-01-01T00:00:00.000Z", text);
        written.unwrap();
        head.close_line(text, body);
        head
    };
    let mut skipped = Vec::new();
    line(
        Head {
            seq: 1,
            ..Head::START
        },
        &mut skipped,
    );
    let found = verify(skipped.as_slice()).unwrap_err();
    assert!(matches!(
        found,
        Broken {
            line: 1,
            what: Fault::Sequence
        }
    ));

    let mut grafted = Vec::new();
    let first = line(Head::START, &mut grafted);
    line(
        Head {
            hash: [7; 32],
            ..first
        },
        &mut grafted,
    );
    let found = verify(grafted.as_slice()).unwrap_err();
    assert!(matches!(
        found,
        Broken {
            line: 2,
            what: Fault::Link
        }
    ));
}

#[test]
fn a_journal_longer_than_the_tail_opens_by_its_tail() {
    let (_folder, path) = journal_with(0);
    let mut text = Vec::new();
    let mut head = Head::START;
    while text.len() <= crate::limits::AUDIT_TAIL_BYTES_MAX {
        let body = text.len();
        record(1)
            .write_body(head.seq + 1, "2026-01-01T00:00:00.000Z", &mut text)
            .unwrap();
        head.close_line(&mut text, body);
    }
    fs::write(&path, &text).unwrap();
    let journal = Journal::open(&path, JournalOptions::default()).unwrap();
    journal.append(record(2)).wait().unwrap();
    drop(journal);
    assert_eq!(verify_file(&path).unwrap().records, head.seq + 1);
    // A fault before the tail is for `verify_file`; one inside it refuses to open.
    let end = text.len() - 500;
    text[end] ^= 1;
    fs::write(&path, &text).unwrap();
    let refused = Journal::open(&path, JournalOptions::default());
    assert!(matches!(refused.err(), Some(Error::Broken(_))));
}

#[test]
fn every_single_byte_change_of_200_records_is_detected() {
    let (_folder, path) = journal_with(200);
    let mut text = fs::read(path).unwrap();
    let mut walk = Walk::from_the_start();
    let mut line_start = 0;
    while line_start < text.len() {
        let end = line_start + text[line_start..].iter().position(|&b| b == b'\n').unwrap();
        for at in line_start..=end {
            for mask in [0x01, 0x20, 0x80] {
                text[at] ^= mask;
                assert!(
                    !is_sound_from(walk.clone(), &text[line_start..]),
                    "byte {at} ^ {mask:#x}"
                );
                text[at] ^= mask;
            }
        }
        walk.step(&text[line_start..end]).unwrap();
        line_start = end + 1;
    }
}

/// As [`verify`] goes on from a line whose predecessors are sound.
fn is_sound_from(mut walk: Walk, rest: &[u8]) -> bool {
    let mut lines = rest.split(|&b| b == b'\n').peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_none() {
            return line.is_empty();
        }
        if walk.step(line).is_err() {
            return false;
        }
    }
    false
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn verify_finds_any_change_removal_or_insertion_of_a_byte(
        at in any::<prop::sample::Index>(), value in any::<u8>(), kind in 0..3,
    ) {
        thread_local! {
            static SOUND: Vec<u8> = fs::read(journal_with(40).1).unwrap_or_default();
        }
        let mut text = SOUND.with(Clone::clone);
        let at = at.index(text.len());
        match kind {
            0 if text[at] == value => return Ok(()),
            0 => text[at] = value,
            1 => drop(text.remove(at)),
            _ => text.insert(at, value),
        }
        prop_assert!(verify(text.as_slice()).is_err());
    }

    #[test]
    fn no_input_makes_the_verifier_panic(text in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(text.is_empty() || verify(text.as_slice()).is_err());
    }
}
