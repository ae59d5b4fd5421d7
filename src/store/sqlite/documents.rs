//! Documents and the answers to calls that may be repeated. Bytes to the store, in rows of their
//! own: they are no part of the catalogue and raise no generation.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::limits;
use crate::store::change::{Answer, Beside, Document, DocumentPut, RequestId};
use crate::store::error::Error;
use crate::store::sqlite::{integer, rows_at_most};

pub(in crate::store) fn write_beside(
    connection: &Connection,
    beside: &Beside,
) -> Result<(), Error> {
    for put in &beside.documents {
        write(connection, put)?;
    }
    match &beside.answer {
        Some(answer) => keep(connection, answer),
        None => Ok(()),
    }
}

pub(in crate::store) fn read(
    connection: &Connection,
    kind: &str,
    id: &str,
) -> Result<Option<Document>, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT kind, id, revision, body FROM document WHERE kind = ?1 AND id = ?2",
        )?
        .query_row(params![kind, id], document)
        .optional()?)
}

pub(in crate::store) fn list(
    connection: &Connection,
    kind: &str,
    after: &str,
) -> Result<Vec<Document>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT kind, id, revision, body FROM document
         WHERE kind = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    )?;
    let most = rows_at_most(limits::DOCUMENT_PAGE);
    let documents = statement.query_map(params![kind, after, most], document)?;
    Ok(documents.collect::<Result<_, _>>()?)
}

pub(in crate::store) fn delete(
    connection: &Connection,
    kind: &str,
    id: &str,
    expected_revision: u64,
) -> Result<(), Error> {
    let deleted = connection
        .prepare_cached("DELETE FROM document WHERE kind = ?1 AND id = ?2 AND revision = ?3")?
        .execute(params![kind, id, integer(expected_revision)])?;
    one_or_moved(deleted)
}

pub(in crate::store) fn answer(
    connection: &Connection,
    request: &RequestId,
    now: u64,
) -> Result<Option<Vec<u8>>, Error> {
    Ok(connection
        .prepare_cached(
            "SELECT answer FROM idempotency
             WHERE tenant = ?1 AND caller = ?2 AND request_id = ?3 AND expires > ?4",
        )?
        .query_row(
            params![request.tenant, request.caller, request.id, integer(now)],
            |row| row.get(0),
        )
        .optional()?)
}

fn write(connection: &Connection, put: &DocumentPut) -> Result<(), Error> {
    let written = match put.expected_revision {
        0 => connection
            .prepare_cached(
                "INSERT INTO document (kind, id, revision, body) VALUES (?1, ?2, 1, ?3)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![put.kind, put.id, put.body])?,
        expected => connection
            .prepare_cached(
                "UPDATE document SET body = ?3, revision = revision + 1
                 WHERE kind = ?1 AND id = ?2 AND revision = ?4",
            )?
            .execute(params![put.kind, put.id, put.body, integer(expected)])?,
    };
    one_or_moved(written)
}

/// Keeps an answer, and clears away some whose time is over.
fn keep(connection: &Connection, answer: &Answer) -> Result<(), Error> {
    let now = integer(answer.now);
    connection
        .prepare_cached(
            "DELETE FROM idempotency WHERE (tenant, caller, request_id) IN
                 (SELECT tenant, caller, request_id FROM idempotency
                  WHERE expires <= ?1 ORDER BY expires LIMIT ?2)",
        )?
        .execute(params![now, rows_at_most(limits::ANSWERS_CLEARED_MAX)])?;
    let request = &answer.request;
    let kept = connection
        .prepare_cached(
            "INSERT INTO idempotency (tenant, caller, request_id, answer, expires)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT DO UPDATE SET answer = excluded.answer, expires = excluded.expires
             WHERE expires <= ?6",
        )?
        .execute(params![
            request.tenant,
            request.caller,
            request.id,
            answer.body,
            integer(answer.expires),
            now
        ])?;
    if kept == 0 {
        return Err(Error::Answered);
    }
    Ok(())
}

fn one_or_moved(rows: usize) -> Result<(), Error> {
    if rows == 0 {
        return Err(Error::DocumentMoved);
    }
    Ok(())
}

fn document(row: &Row<'_>) -> rusqlite::Result<Document> {
    let revision: i64 = row.get(2)?;
    Ok(Document {
        kind: row.get(0)?,
        id: row.get(1)?,
        revision: revision.unsigned_abs(),
        body: row.get(3)?,
    })
}
