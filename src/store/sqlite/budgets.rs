//! Budgets at rest: a count per subject and period; a budget of several subjects brings them all to
//! the highest. Every change is of rows of their own: they are
//! no part of the catalogue and raise no generation.

use rusqlite::{Connection, OptionalExtension, params};

use crate::limits;
use crate::store::budget::{Budget, Reservation};
use crate::store::error::Error;
use crate::store::sqlite::{integer, rows_at_most};

/// Takes one try off each, where each has one left.
pub(in crate::store) fn reserve(
    connection: &Connection,
    budgets: &[Budget],
) -> Result<Reservation, Error> {
    let mut counts = Vec::with_capacity(budgets.len());
    for budget in budgets {
        let spent = spent(connection, budget)?;
        if spent >= u64::from(budget.most) {
            return Ok(Reservation::Refused);
        }
        counts.push(spent + 1);
    }
    for (budget, count) in budgets.iter().zip(counts) {
        for subject in &budget.subjects {
            connection
                .prepare_cached(
                    "INSERT INTO budget (subject, ends, spent) VALUES (?1, ?2, ?3)
                     ON CONFLICT DO UPDATE SET spent = excluded.spent",
                )?
                .execute(params![subject, integer(budget.ends), integer(count)])?;
        }
    }
    Ok(Reservation::Taken)
}

/// Puts one try back to each.
pub(in crate::store) fn give_back(
    connection: &Connection,
    budgets: &[Budget],
) -> Result<Reservation, Error> {
    for budget in budgets {
        for subject in &budget.subjects {
            connection
                .prepare_cached(
                    "UPDATE budget SET spent = spent - 1
                     WHERE subject = ?1 AND ends = ?2 AND spent > 0",
                )?
                .execute(params![subject, integer(budget.ends)])?;
        }
    }
    Ok(Reservation::Taken)
}

/// Clears away some whose period is over.
pub(in crate::store) fn clear(connection: &Connection, now: u64) -> Result<(), Error> {
    connection
        .prepare_cached(
            "DELETE FROM budget WHERE (subject, ends) IN
                 (SELECT subject, ends FROM budget WHERE ends <= ?1 ORDER BY ends LIMIT ?2)",
        )?
        .execute(params![
            integer(now),
            rows_at_most(limits::BUDGETS_CLEARED_MAX)
        ])?;
    Ok(())
}

fn spent(connection: &Connection, budget: &Budget) -> Result<u64, Error> {
    let mut most = 0;
    for subject in &budget.subjects {
        let spent: Option<i64> = connection
            .prepare_cached("SELECT spent FROM budget WHERE subject = ?1 AND ends = ?2")?
            .query_row(params![subject, integer(budget.ends)], |row| row.get(0))
            .optional()?;
        most = most.max(spent.unwrap_or_default().unsigned_abs());
    }
    Ok(most)
}
