//! Diagnosis: domain to wire.

use crate::domain::alipay::diagnosis::Change;
use crate::keys::key_ref::KeyRef;
use crate::ops::alipay::diagnosis::{Diagnosis, Explain, Finding};
use crate::service::Error;
use crate::service::alipay::v3::signed_string;
use crate::service::pb::v1 as pb;
use crate::service::wire::key_ref;

/// The other key, which only an explanation has a use for.
pub(in crate::service) fn other_key(
    explain: bool,
    other_key: Option<pb::KeyRef>,
) -> Result<Option<KeyRef>, Error> {
    match (explain, other_key) {
        (_, None) => Ok(None),
        (true, key) => key_ref(key, "other_key").map(Some),
        (false, Some(_)) => Err(Error::FieldSuperfluous("other_key")),
    }
}

/// What is asked for, where anything is.
pub(in crate::service) fn explain(
    explain: bool,
    other_key: Option<&KeyRef>,
) -> Option<Explain<'_>> {
    explain.then_some(Explain { other_key })
}

/// The wire's form of a diagnosis.
pub(in crate::service) fn diagnosis(diagnosis: Diagnosis, content: &[u8]) -> pb::Diagnosis {
    let Diagnosis { findings, same_key } = diagnosis;
    pb::Diagnosis {
        findings: findings.into_iter().map(finding).collect(),
        same_key,
        content: Some(signed_string(content.to_vec())),
    }
}

fn finding(finding: Finding) -> pb::Finding {
    let Finding { changes, parameter } = finding;
    let sentences: Vec<&str> = changes.iter().map(|change| change.sentence()).collect();
    pb::Finding {
        reasons: changes.into_iter().map(|it| reason(it).into()).collect(),
        parameter: parameter.unwrap_or_default(),
        sentence: sentences.join("; and "),
    }
}

fn reason(change: Change) -> pb::MismatchReason {
    use pb::MismatchReason as Reason;
    match change {
        Change::HtmlUnescaped => Reason::HtmlEscaped,
        Change::PlusRestored => Reason::PlusLost,
        Change::DecodedAgain => Reason::EncodedTwice,
        Change::NotDecoded => Reason::DecodedBefore,
        Change::ToGbk => Reason::SignedInGbk,
        Change::ToUtf8 => Reason::SignedInUtf8,
        Change::SlashEscaped => Reason::SlashesUnescaped,
        Change::UnicodeUnescaped => Reason::UnicodeEscaped,
        Change::Compacted => Reason::WhiteSpaceInserted,
        Change::Trimmed => Reason::WhiteSpaceAppended,
        Change::ParameterLeftOut => Reason::ParameterAdded,
        Change::SignPlusRestored => Reason::SignPlusLost,
        Change::SignPadded => Reason::SignPaddingLost,
        Change::SignUnbroken => Reason::SignBroken,
        Change::SignDecodedAgain => Reason::SignEncodedTwice,
        Change::SignStandardAlphabet => Reason::SignUrlAlphabet,
        Change::OtherHash => Reason::OtherHash,
        Change::OtherKey => Reason::OtherKey,
    }
}
