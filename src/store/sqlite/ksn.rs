//! Which transactions of a device were used for what: one row per base key, device and operation. Rows
//! of their own: they are no part of the catalogue and raise no generation.

use rusqlite::{Connection, OptionalExtension, params};

use crate::domain::dukpt::replay::Seen;
use crate::store::change::KsnNote;
use crate::store::error::Error;

/// Notes one use; false, and nothing changed, where it was noted before or is too old to tell. Within a
/// transaction that writes, so that of two the same at once one is told so.
pub(in crate::store) fn note(connection: &Connection, note: &KsnNote) -> Result<bool, Error> {
    let found = connection
        .prepare_cached(
            "SELECT highest, below FROM ksn_mark
             WHERE tenant = ?1 AND base = ?2 AND device = ?3 AND operation = ?4",
        )?
        .query_row(
            params![note.tenant, note.base, note.device, note.operation],
            |row| {
                let below: i64 = row.get(1)?;
                Ok(Seen {
                    highest: row.get(0)?,
                    below: below.cast_unsigned(),
                })
            },
        )
        .optional()?;
    let after = match found {
        None => Some(Seen::first(note.counter)),
        Some(seen) => seen.after(note.counter, note.window),
    };
    let Some(after) = after else {
        return Ok(false);
    };
    connection
        .prepare_cached(
            "INSERT INTO ksn_mark (tenant, base, device, operation, highest, below)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET highest = excluded.highest, below = excluded.below",
        )?
        .execute(params![
            note.tenant,
            note.base,
            note.device,
            note.operation,
            after.highest,
            after.below.cast_signed()
        ])?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::time::{Duration, Instant};

    use crate::store::Store;

    fn use_of(counter: u32) -> KsnNote {
        KsnNote {
            tenant: "default".to_owned(),
            base: "bdk/1".to_owned(),
            device: [7; 8],
            operation: 1,
            counter,
            window: 0,
        }
    }

    fn noted(store: &Store, note: KsnNote) -> bool {
        let deadline = Instant::now() + Duration::from_secs(5);
        store.note_ksn(deadline, note).wait().unwrap()
    }

    #[test]
    fn a_counter_is_noted_once_for_each_base_key_device_and_operation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sqlite");
        let store = Store::open(&path).unwrap();
        assert!(noted(&store, use_of(5)));
        assert!(!noted(&store, use_of(5)));
        assert!(!noted(&store, use_of(4)));
        let others = [
            KsnNote {
                operation: 2,
                ..use_of(5)
            },
            KsnNote {
                device: [8; 8],
                ..use_of(5)
            },
            KsnNote {
                base: "bdk/2".to_owned(),
                ..use_of(5)
            },
            KsnNote {
                tenant: "other".to_owned(),
                ..use_of(5)
            },
        ];
        for other in others {
            assert!(noted(&store, other.clone()), "{other:?}");
            assert!(!noted(&store, other));
        }
        drop(store);
        let store = Store::open(&path).unwrap();
        assert!(
            !noted(&store, use_of(5)),
            "noted before the file was closed"
        );
        let late = KsnNote {
            window: 2,
            ..use_of(3)
        };
        assert!(noted(&store, late.clone()), "within the window");
        assert!(!noted(&store, late));
        assert!(noted(&store, use_of(u32::MAX)));
    }

    #[test]
    fn of_many_that_note_one_counter_at_once_through_many_handles_one_passes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.sqlite");
        Store::open(&path).unwrap();
        let passed: usize = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| usize::from(noted(&Store::open(&path).unwrap(), use_of(9))))
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(passed, 1);
    }
}
