//! What is due when: one document per key that has an activation or the end of a waiting period
//! ahead of it, so that a server finds them without reading the catalogue.
//!
//! A document is a hint: what is done, and whether, the key's own sealed header says. One that is
//! lost delays writing down what holds anyway: a version whose moment has come serves, and one whose
//! destruction has begun does not.

use crate::keys::attributes::State;
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::lifecycle::{sweep, versions};
use crate::keys::make::deadline;
use crate::keys::record::Header;
use crate::limits;
use crate::store::change::{Document, DocumentPut};

/// Carries out everything that is due at `now`, seconds since 1970. Answers the headers that changed.
///
/// # Errors
/// What store or token answered. What was done is done; the rest is for the next time.
pub async fn sweep_due(catalogue: &Catalogue, now: u64) -> Result<Vec<Header>, Error> {
    let (mut swept, mut after) = (Vec::new(), String::new());
    loop {
        let page = catalogue
            .store()
            .documents(deadline(), KIND, &after)
            .await?;
        for document in &page {
            if moment(document) <= now
                && let Some((tenant, name)) = key_of(document)
            {
                swept.extend(sweep(catalogue, (&tenant, &name), now).await?);
                put_off(catalogue, document, (&tenant, &name)).await?;
            }
        }
        match page.last() {
            Some(last) if page.len() == limits::DOCUMENT_PAGE => after.clone_from(&last.id),
            _ => return Ok(swept),
        }
    }
}

/// The document that says that something of this key is due at `at`, or before.
pub(in crate::keys) async fn due(
    catalogue: &Catalogue,
    (tenant, name): (&KeyName, &KeyName),
    at: u64,
) -> Result<DocumentPut, Error> {
    let id = format!("{tenant}/{name}");
    let there = catalogue.store().document(deadline(), KIND, &id).await?;
    let at = there.as_ref().map_or(at, |there| moment(there).min(at));
    Ok(DocumentPut {
        kind: KIND.to_owned(),
        id,
        expected_revision: there.map_or(0, |there| there.revision),
        body: at.to_be_bytes().to_vec(),
    })
}

/// Puts a document off until the next thing that is due of its key, or takes it away. Whoever wrote
/// it meanwhile has the last word.
async fn put_off(
    catalogue: &Catalogue,
    document: &Document,
    (tenant, name): (&KeyName, &KeyName),
) -> Result<(), Error> {
    let next = versions(catalogue, tenant, name).await?;
    let next = next.iter().filter_map(|header| match header.state {
        State::Pending => header.activates,
        State::Destroying => header.destroys,
        State::Active | State::Retiring | State::Disabled | State::Destroyed => None,
    });
    let store = catalogue.store();
    let written = match next.min() {
        Some(at) => {
            let put = DocumentPut {
                kind: KIND.to_owned(),
                id: document.id.clone(),
                expected_revision: document.revision,
                body: at.to_be_bytes().to_vec(),
            };
            let beside = crate::store::change::Beside {
                documents: vec![put],
                answer: None,
            };
            store.write_beside(deadline(), beside).await
        }
        None => {
            let revision = document.revision;
            store
                .delete_document(deadline(), KIND, &document.id, revision)
                .await
        }
    };
    match written {
        Err(crate::store::error::Error::DocumentMoved) => Ok(()),
        other => Ok(other?),
    }
}

/// When it is due; a body of another form is due now, and then written anew.
fn moment(document: &Document) -> u64 {
    let moment = document.body.as_slice().try_into();
    moment.map_or(0, u64::from_be_bytes)
}

fn key_of(document: &Document) -> Option<(KeyName, KeyName)> {
    let (tenant, name) = document.id.split_once('/')?;
    Some((KeyName::parse(tenant).ok()?, KeyName::parse(name).ok()?))
}

const KIND: &str = "due";
