//! Making a store hold the keys of a template: `plan` shows the difference, `apply` makes what is
//! missing, twice is once.
//!
//! It never changes or removes a key that exists. One that differs from its template stops `apply`
//! before anything is made: attributes are not loosened by a file.

use std::collections::HashSet;

use crate::keys::attributes::{Residence, State};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::ledger::{self, Entry};
use crate::keys::lifecycle::refuse_process_kek;
use crate::keys::make::{Birth, Maker, deadline};
use crate::keys::reconcile;
use crate::keys::spec::KeySpec;
use crate::keys::template::Template;
use crate::limits;
use crate::store::lock::LockGuard;

/// What stands between a store and a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// One step for each key of the template, in its order, then the keys it does not know.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether the store holds every key of the template as it says.
    pub fn is_done(&self) -> bool {
        self.steps
            .iter()
            .all(|step| matches!(step.action, Action::Matches { .. } | Action::Unmanaged))
    }
}

/// One key of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The key.
    pub name: String,
    /// What is to be done about it.
    pub action: Action,
}

/// What is to be done about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It does not exist: `apply` makes it.
    Create,
    /// It does not exist and is a partner's public key: somebody has to import it.
    Import,
    /// It exists and is what the template says.
    Matches {
        /// The newest version.
        version: u32,
        /// Where that version stands in its life.
        state: State,
    },
    /// It exists and is something else: `apply` refuses.
    Differs {
        /// The newest version.
        version: u32,
        /// The fields in which it differs.
        fields: Vec<&'static str>,
    },
    /// It exists and the template does not know it: nothing is done.
    Unmanaged,
}

/// Compares a template with the store. Each existing key is authenticated first.
///
/// # Errors
/// [`Error::RecordRefused`] names a key that is not authentic; or what store or token answered.
pub async fn plan(
    catalogue: &Catalogue,
    template: &Template,
    tenant: &KeyName,
) -> Result<Plan, Error> {
    let mut steps = Vec::new();
    let mut known = HashSet::new();
    for spec in template.keys() {
        let name = spec.name.to_string();
        known.insert(name.clone());
        steps.push(Step {
            name,
            action: action(catalogue, spec, tenant).await?,
        });
    }
    let mut after = None;
    loop {
        let page = catalogue
            .store()
            .list(deadline(), Some(tenant.as_str()), after.take())
            .await?;
        for record in &page {
            if known.insert(record.id.name.clone()) {
                steps.push(Step {
                    name: record.id.name.clone(),
                    action: Action::Unmanaged,
                });
            }
        }
        match page.last() {
            Some(last) if page.len() == limits::STORE_PAGE_RECORDS => after = Some(last.id.clone()),
            _ => return Ok(Plan { steps }),
        }
    }
}

/// Makes the keys of a template that are missing, and answers the plan that it carried out.
///
/// # Errors
/// As [`plan`]; [`Error::StoreUnavailable`] with the lock's error when another holds the advisory
/// lock for longer than [`limits::ADVISORY_LOCK_WAIT`]; [`Error::KeyExists`] where a key differs,
/// and then nothing is made. After any other error the keys made so far stay, and the next `apply`
/// goes on from there.
pub async fn apply(
    catalogue: &Catalogue,
    template: &Template,
    tenant: &KeyName,
) -> Result<Plan, Error> {
    let _lock = lock(catalogue).await?;
    let plan = plan(catalogue, template, tenant).await?;
    for step in &plan.steps {
        if let Action::Differs { fields, .. } = &step.action {
            return Err(Error::KeyExists {
                name: step.name.clone(),
                fields: fields.clone(),
            });
        }
    }
    let maker = Maker {
        catalogue,
        tenant,
        birth: Birth::default(),
    };
    // The template's keys come first in the plan, in its order.
    for (spec, step) in template.keys().iter().zip(&plan.steps) {
        if step.action == Action::Create {
            refuse_process_kek(catalogue, spec)?;
            let made = maker.generate(spec).await?;
            let entry = Entry::of_made([&made]);
            if let Err(error) = ledger::write(catalogue, entry).await {
                maker.undo(&[made]).await;
                return Err(error);
            }
        }
    }
    Ok(plan)
}

/// Makes new keys by the batch: one transaction for [`limits::COMMIT_RECORDS_MAX`] of them, told
/// after each. Under the advisory lock, as [`apply`]; no key may exist yet.
///
/// # Errors
/// [`Error::KeyExists`] names the first that exists; or what store or token answered. The batches
/// before the one that failed stay.
pub async fn make_many(
    catalogue: &Catalogue,
    tenant: &KeyName,
    specs: impl Iterator<Item = KeySpec>,
    made: impl Fn(usize),
) -> Result<(), Error> {
    let _lock = lock(catalogue).await?;
    let maker = Maker {
        catalogue,
        tenant,
        birth: Birth::default(),
    };
    let mut specs = specs.peekable();
    while specs.peek().is_some() {
        let mut batch = Vec::new();
        for spec in specs.by_ref().take(limits::COMMIT_RECORDS_MAX) {
            batch.push(maker.generate(&spec).await?);
        }
        let entry = Entry::of_made(&batch);
        if let Err(error) = ledger::write(catalogue, entry).await {
            maker.undo(&batch).await;
            return Err(error);
        }
        made(batch.len());
    }
    Ok(())
}

/// Waits for the advisory lock without holding up the runtime, then follows what whoever held it
/// has written, and finishes what they may have left unfinished.
pub(in crate::keys) async fn lock(catalogue: &Catalogue) -> Result<LockGuard, Error> {
    let store = catalogue.store().clone();
    let wait = limits::ADVISORY_LOCK_WAIT;
    let locked = match tokio::task::spawn_blocking(move || store.advisory_lock(wait)).await {
        Ok(locked) => locked?,
        Err(_) => return Err(crate::store::error::Error::Stopped.into()),
    };
    catalogue.poll().await?;
    reconcile::resolve_all(catalogue).await?;
    Ok(locked)
}

async fn action(catalogue: &Catalogue, spec: &KeySpec, tenant: &KeyName) -> Result<Action, Error> {
    let records = catalogue
        .records(tenant.as_str(), spec.name.as_str(), deadline())
        .await?;
    let Some(newest) = records.first() else {
        return Ok(match spec.residence {
            Residence::Public => Action::Import,
            _ => Action::Create,
        });
    };
    let (header, _) = catalogue.custodian().open(deadline(), newest).await?;
    let fields = spec.differences(&header);
    let version = header.version;
    Ok(if fields.is_empty() {
        Action::Matches {
            version,
            state: header.state,
        }
    } else {
        Action::Differs { version, fields }
    })
}
