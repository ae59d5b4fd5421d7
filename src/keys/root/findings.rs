//! Which rows are not what the root vouches for, by name.

use std::fmt;

use crate::keys::error::Refusal;
use crate::limits;
use crate::store::RecordId;

/// One row and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The row, or the record that has none.
    pub id: RecordId,
    /// What is wrong.
    pub why: Refusal,
}

/// Every finding counted, the first [`limits::FINDINGS_NAMED_MAX`] named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The first ones.
    pub named: Vec<Finding>,
    /// How many there are besides.
    pub more: u64,
}

impl Findings {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    pub(in crate::keys) fn add(&mut self, id: RecordId, why: Refusal) {
        if self.named.len() < limits::FINDINGS_NAMED_MAX {
            self.named.push(Finding { id, why });
        } else {
            self.more += 1;
        }
    }

    pub(in crate::keys) fn log(&self) {
        for Finding { id, why } in &self.named {
            tracing::error!(
                tenant = id.tenant, key = id.name, version = id.version, %why,
                "a record is refused"
            );
        }
        if self.more > 0 {
            tracing::error!(more = self.more, "more records are refused");
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        for Finding { id, why } in self.named.iter().take(SHOWN) {
            write!(formatter, "\n  {id}: {why}")?;
        }
        let rest = self.more + self.named.len().saturating_sub(SHOWN) as u64;
        if rest > 0 {
            write!(formatter, "\n  and {rest} more")?;
        }
        Ok(())
    }
}
