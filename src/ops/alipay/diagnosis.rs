//! Why a signature does not hold: every usual accident undone in turn, and checked under the key, the
//! other RSA hash and another key. What is found here is told, never accepted.

use crate::domain::alipay::SignType;
use crate::domain::alipay::diagnosis::{Change, Variant, of_sign};
use crate::keys::grant::{Grant, VerifySignature};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::PublicKey;
use crate::limits::DIAGNOSIS_CHECKS_MAX;
use crate::ops::batch::Turn;
use crate::ops::context::{Call, Context};
use crate::ops::signing::{self, Verifiers};
use crate::ops::{Error, KeyRole};

/// That a caller wants to know why.
pub struct Explain<'a> {
    /// Another key that may have signed: the application's own, for one.
    pub other_key: Option<&'a KeyRef>,
}

/// Why.
pub struct Diagnosis {
    /// Each would have verified, with the fewest changes there are.
    pub findings: Vec<Finding>,
    /// The key and the other key have one public half.
    pub same_key: bool,
}

/// What would have verified.
pub struct Finding {
    /// What must be changed.
    pub changes: Vec<Change>,
    /// The parameter that is left out, where that is it.
    pub parameter: Option<String>,
}

/// A key and a hash to check with.
struct Judge<'a> {
    changes: Vec<Change>,
    scheme: SignType,
    /// None for the key's own versions.
    other: Option<&'a PublicKey>,
}

/// Looks for what would have verified.
///
/// # Errors
/// [`Error::Key`] for the other key.
pub(in crate::ops) async fn of(
    context: &Context,
    call: &Call,
    explain: &Explain<'_>,
    verifiers: &Verifiers,
    messages: &[Variant],
    sign: &str,
) -> Result<Diagnosis, Error> {
    let other: Option<Grant<VerifySignature>> = match explain.other_key {
        Some(key) => Some(call.granted(context, KeyRole::Other, key).await?),
        None => None,
    };
    let signs = of_sign(sign);
    let judges = judges(verifiers.scheme(), other.as_ref());
    let mut findings = Vec::new();
    let mut turn = Turn::default();
    let mut checks = 0;
    for changed in 1..=CHANGES_MAX {
        for judge in &judges {
            for sign in &signs {
                for message in messages {
                    let changes = judge.changes.len() + sign.changes.len() + message.changes.len();
                    let keys = judge.keys(verifiers);
                    if changes != changed || checks + keys > DIAGNOSIS_CHECKS_MAX {
                        continue;
                    }
                    checks += keys;
                    // A check costs as much as a few kilobytes of a batch.
                    turn.count(keys * (message.bytes.len() + CHECK_BYTES)).await;
                    if judge.agrees(verifiers, &message.bytes, &sign.bytes) {
                        let changes = [&judge.changes, &sign.changes, &message.changes];
                        findings.push(Finding {
                            changes: changes.into_iter().flatten().copied().collect(),
                            parameter: message.parameter.clone(),
                        });
                    }
                }
            }
        }
        if !findings.is_empty() {
            break;
        }
    }
    let same_key = other.is_some_and(|other| verifiers.are(other.public_key()));
    Ok(Diagnosis { findings, same_key })
}

impl Judge<'_> {
    /// How many checks one look is.
    fn keys(&self, verifiers: &Verifiers) -> usize {
        match self.other {
            Some(_) => 1,
            None => verifiers.count(),
        }
    }

    fn agrees(&self, verifiers: &Verifiers, message: &[u8], signature: &[u8]) -> bool {
        match self.other {
            Some(key) => signing::matches(self.scheme, key, message, signature),
            None => verifiers.match_under(self.scheme, message, signature),
        }
    }
}

/// The key, and the other one, each under its own scheme and the other RSA hash.
fn judges(scheme: SignType, other: Option<&Grant<VerifySignature>>) -> Vec<Judge<'_>> {
    let mut judges = Vec::new();
    let mut both = |scheme: SignType, changes: Vec<Change>, other| {
        let other_hash = match scheme {
            SignType::Rsa => Some(SignType::Rsa2),
            SignType::Rsa2 => Some(SignType::Rsa),
            SignType::Sm2 => None,
        };
        if let Some(scheme) = other_hash {
            judges.push(Judge {
                changes: [changes.as_slice(), &[Change::OtherHash]].concat(),
                scheme,
                other,
            });
        }
        judges.push(Judge {
            changes,
            scheme,
            other,
        });
    };
    both(scheme, Vec::new(), None);
    if let Some(other) = other {
        both(
            other.scheme(),
            vec![Change::OtherKey],
            Some(other.public_key()),
        );
    }
    judges
}

/// More accidents at once are not looked for.
const CHANGES_MAX: usize = 3;
const CHECK_BYTES: usize = 2048;
