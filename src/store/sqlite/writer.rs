//! The one connection that writes. Every change to the catalogue is one immediate transaction that
//! raises the generation, or leaves nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};

use crate::failpoint;
use crate::store::budget::{Reservation, Waiting};
use crate::store::change::{Beside, Change, Delete, KsnNote, Put, StoredRoot};
use crate::store::error::Error;
use crate::store::sqlite::{budgets, documents, flags, generation, integer, ksn};
use crate::store::{sqlite, thread};

pub(in crate::store) struct Writer {
    connection: Connection,
}

impl Writer {
    pub(in crate::store) fn open(path: &Path) -> Result<Self, Error> {
        sqlite::create_private(path)?;
        let mut connection =
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
        connection.busy_timeout(sqlite::OPEN_PATIENCE)?;
        sqlite::prepare_patiently(&mut connection, path)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What is deleted is overwritten: an abandoned ceremony leaves no page of itself.
        connection.pragma_update(None, "secure_delete", true)?;
        Ok(Self { connection })
    }

    pub(in crate::store) fn commit(&mut self, change: &Change) -> Result<u64, Error> {
        change.check()?;
        let transaction = self.immediate()?;
        let found = generation(&transaction)?;
        if found != change.expected_generation {
            return Err(Error::Moved(found));
        }
        let next = found + 1;
        failpoint::hit("store.begun");
        for put in &change.puts {
            write_record(&transaction, put, next)?;
        }
        for delete in &change.deletes {
            delete_record(&transaction, delete, next)?;
        }
        failpoint::hit("store.after-rows");
        for root in &change.roots {
            write_root(&transaction, root)?;
        }
        failpoint::hit("store.after-root");
        for end in &change.ended {
            documents::delete(&transaction, &end.kind, &end.id, end.expected_revision)?;
        }
        documents::write_beside(&transaction, &change.beside)?;
        failpoint::hit("store.before-commit");
        transaction.commit()?;
        failpoint::hit("store.after-commit");
        Ok(next)
    }

    pub(in crate::store) fn write_beside(&mut self, beside: &Beside) -> Result<(), Error> {
        beside.check()?;
        let transaction = self.immediate()?;
        documents::write_beside(&transaction, beside)?;
        failpoint::hit("document.before-commit");
        transaction.commit()?;
        failpoint::hit("document.after-commit");
        Ok(())
    }

    pub(in crate::store) fn delete_document(
        &mut self,
        kind: &str,
        id: &str,
        expected_revision: u64,
    ) -> Result<(), Error> {
        documents::delete(&self.connection, kind, id, expected_revision)?;
        failpoint::hit("document.after-delete");
        Ok(())
    }

    pub(in crate::store) fn note_ksn(&mut self, note: &KsnNote) -> Result<bool, Error> {
        let transaction = self.immediate()?;
        let noted = ksn::note(&transaction, note)?;
        transaction.commit()?;
        Ok(noted)
    }

    /// Carries out every reservation and return that waits, in one transaction, and answers each.
    pub(in crate::store) fn spend(&mut self, waiting: Vec<Waiting>) {
        match self.spend_all(&waiting) {
            Ok(answers) => waiting
                .into_iter()
                .zip(answers)
                .for_each(|(one, answer)| one.answer(answer)),
            Err(error) => {
                tracing::warn!(%error, "budgets were not written");
                for one in waiting {
                    one.answer(Err(Error::Budgets));
                }
            }
        }
    }

    fn spend_all(&mut self, waiting: &[Waiting]) -> Result<Vec<Result<Reservation, Error>>, Error> {
        let transaction = self.immediate()?;
        if let Some(now) = waiting.iter().map(|one| one.now).max() {
            budgets::clear(&transaction, now)?;
        }
        let mut answers = Vec::with_capacity(waiting.len());
        for one in waiting {
            answers.push(if one.give_back {
                Ok(budgets::give_back(&transaction, &one.budgets)?)
            } else if one.deadline <= Instant::now() {
                Err(Error::Deadline)
            } else {
                Ok(budgets::reserve(&transaction, &one.budgets)?)
            });
        }
        transaction.commit()?;
        Ok(answers)
    }

    fn immediate(&mut self) -> Result<Transaction<'_>, Error> {
        let behavior = TransactionBehavior::Immediate;
        Ok(self.connection.transaction_with_behavior(behavior)?)
    }
}

impl thread::Connection for Writer {
    fn set_patience(&self, patience: Duration) -> Result<(), Error> {
        Ok(self.connection.busy_timeout(patience)?)
    }
}

fn write_record(transaction: &Transaction<'_>, put: &Put, generation: u64) -> Result<(), Error> {
    let seals = put.check()?;
    let (id, header) = (&put.record.id, &put.record.header);
    let generation = integer(generation);
    let written = match &put.expected_header {
        None => transaction
            .prepare_cached(
                "INSERT INTO key_record (tenant, name, version, header, seals, changed_generation)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                id.tenant, id.name, id.version, header, seals, generation
            ])?,
        Some(expected) => transaction
            .prepare_cached(
                "UPDATE key_record SET header = ?4, seals = ?5, changed_generation = ?6
                 WHERE tenant = ?1 AND name = ?2 AND version = ?3 AND header = ?7",
            )?
            .execute(params![
                id.tenant, id.name, id.version, header, seals, generation, expected
            ])?,
    };
    if written == 0 {
        return Err(match put.expected_header {
            None => Error::Exists(id.clone()),
            Some(_) => Error::Changed(id.clone()),
        });
    }
    transaction
        .prepare_cached(
            "INSERT INTO directory (tenant, name, version, tag) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET tag = excluded.tag",
        )?
        .execute(params![id.tenant, id.name, id.version, put.tag])?;
    if put.expected_header.is_none() {
        transaction
            .prepare_cached("DELETE FROM deleted WHERE tenant = ?1 AND name = ?2 AND version = ?3")?
            .execute(params![id.tenant, id.name, id.version])?;
    }
    Ok(())
}

fn delete_record(
    transaction: &Transaction<'_>,
    delete: &Delete,
    generation: u64,
) -> Result<(), Error> {
    let id = &delete.id;
    let deleted = transaction
        .prepare_cached(
            "DELETE FROM key_record
             WHERE tenant = ?1 AND name = ?2 AND version = ?3 AND header = ?4",
        )?
        .execute(params![
            id.tenant,
            id.name,
            id.version,
            delete.expected_header
        ])?;
    if deleted == 0 {
        return Err(Error::Changed(id.clone()));
    }
    transaction
        .prepare_cached("DELETE FROM directory WHERE tenant = ?1 AND name = ?2 AND version = ?3")?
        .execute(params![id.tenant, id.name, id.version])?;
    transaction
        .prepare_cached(
            "INSERT INTO deleted (tenant, name, version, changed_generation)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET changed_generation = excluded.changed_generation",
        )?
        .execute(params![id.tenant, id.name, id.version, integer(generation)])?;
    Ok(())
}

fn write_root(transaction: &Transaction<'_>, root: &StoredRoot) -> Result<(), Error> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO root
                 (token_id, generation, count, sum, nonce, index_key, mac)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            root.token_id,
            integer(root.generation),
            integer(root.count),
            root.sum,
            root.nonce,
            root.index_key,
            root.mac
        ])?;
    Ok(())
}
