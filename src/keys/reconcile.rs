//! Finishing what a process that died had begun: every intent it left is resolved, so that no
//! object stays in the token that no record names, and none is named that is not there.
//!
//! Whoever changes which keys exist holds the advisory lock and does this first; a server does it
//! at its start. The lock only keeps it from taking back what a living process is about to write;
//! should that ever fail, the intent's revision decides, and the writer gets an error instead of a
//! record without a key.

use std::time::Duration;

use crate::failpoint;
use crate::keys::attributes::State;
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::intent::{Intent, KIND};
use crate::keys::make::deadline;
use crate::limits;
use crate::store;
use crate::store::change::{Beside, Document, DocumentPut};

/// Resolves what was left behind, unless somebody is at work, who has done it then. Answers how
/// many intents there were.
///
/// # Errors
/// What the store answered. A token that does not answer leaves the intents for the next time.
pub async fn reconcile(catalogue: &Catalogue) -> Result<usize, Error> {
    let store = catalogue.store().clone();
    let locked = tokio::task::spawn_blocking(move || store.advisory_lock(Duration::ZERO)).await;
    match locked {
        Ok(Ok(_lock)) => resolve_all(catalogue).await,
        Ok(Err(store::error::Error::Locked(_))) => Ok(0),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(store::error::Error::Stopped.into()),
    }
}

/// Resolves every intent of the tokens at hand. The advisory lock is held.
pub(in crate::keys) async fn resolve_all(catalogue: &Catalogue) -> Result<usize, Error> {
    let mut resolved = 0;
    let mut after = String::new();
    loop {
        let page = catalogue.store().documents(deadline(), KIND, &after);
        let page = page.await?;
        for document in &page {
            match Intent::read(catalogue, document).await {
                Ok(Some(intent)) => {
                    resolve(catalogue, &intent, document).await?;
                    resolved += 1;
                }
                Ok(None) => {}
                Err(Error::TokenUnavailable(error)) => {
                    let object = document.id.as_str();
                    tracing::warn!(object, %error, "an unfinished key waits for its token");
                }
                Err(error) => return Err(error),
            }
        }
        match page.last() {
            Some(last) if page.len() == limits::DOCUMENT_PAGE => after.clone_from(&last.id),
            _ => return Ok(resolved),
        }
    }
}

/// Resolves one intent, if it is still there.
pub(in crate::keys) async fn resolve_one(
    catalogue: &Catalogue,
    object_id: [u8; 16],
) -> Result<(), Error> {
    let id = hex::encode(object_id);
    let Some(document) = catalogue.store().document(deadline(), KIND, &id).await? else {
        return Ok(());
    };
    match Intent::read(catalogue, &document).await? {
        Some(intent) => resolve(catalogue, &intent, &document).await,
        None => Ok(()),
    }
}

/// Takes the intent up, so that nobody writes its record any more; then object and intent go.
async fn resolve(catalogue: &Catalogue, intent: &Intent, document: &Document) -> Result<(), Error> {
    let object = document.id.as_str();
    if !claim(catalogue, document).await? {
        // Its record was written meanwhile, or another is at it.
        return Ok(());
    }
    failpoint::hit("reconcile.after-claim");
    match names(catalogue, intent).await {
        Ok(false) => {
            if let Err(error) = intent.destroy_object(catalogue).await {
                tracing::warn!(object, %error, "a key that no record names stays in the token");
                return Ok(());
            }
            failpoint::hit("reconcile.after-destroy");
            tracing::info!(
                object,
                key = intent.record.name,
                "an unfinished key was taken back"
            );
        }
        // Somebody put an old intent back: the record's key stays.
        Ok(true) => tracing::warn!(object, "an intent of a key that is in use was dropped"),
        Err(error) => {
            tracing::warn!(object, %error, "whether a record names this object is not known");
            return Ok(());
        }
    }
    let end = document.revision + 1;
    let deleted = catalogue
        .store()
        .delete_document(deadline(), KIND, object, end);
    match deleted.await {
        Ok(()) | Err(store::error::Error::DocumentMoved) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn claim(catalogue: &Catalogue, document: &Document) -> Result<bool, Error> {
    let raised = DocumentPut {
        kind: document.kind.clone(),
        id: document.id.clone(),
        expected_revision: document.revision,
        body: document.body.clone(),
    };
    let beside = Beside {
        documents: vec![raised],
        ..Beside::default()
    };
    match catalogue.store().write_beside(deadline(), beside).await {
        Ok(()) => Ok(true),
        Err(store::error::Error::DocumentMoved) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a record that is not destroyed names the object. One that is refused decides nothing.
async fn names(catalogue: &Catalogue, intent: &Intent) -> Result<bool, Error> {
    let id = &intent.record;
    catalogue.poll().await?;
    let records = catalogue.records(&id.tenant, &id.name, deadline()).await?;
    let Some(record) = records.iter().find(|record| record.id == *id) else {
        return Ok(false);
    };
    let (header, _) = catalogue.custodian().open(deadline(), record).await?;
    Ok(header.token_object == Some(intent.object_id) && header.state != State::Destroyed)
}
