//! Strings beside each other, and keys beside each other: wire to domain and back.

use crate::domain::alipay::comparison::{self, Comparison, Guess};
use crate::ops::alipay::profile::{self, Finding, Owner};
use crate::ops::context::{Call, Context};
use crate::service::Error;
use crate::service::pb::v1 as pb;
use crate::service::wire::{key_ref, key_use};

/// `AlipayService.DiffSignString`.
pub(in crate::service) fn diff(
    message: pb::DiffSignStringRequest,
) -> Result<pb::DiffSignStringResponse, Error> {
    let pb::DiffSignStringRequest {
        string_to_sign,
        gateway_message,
    } = message;
    if string_to_sign.is_empty() {
        return Err(Error::FieldMissing("string_to_sign"));
    }
    if gateway_message.is_empty() {
        return Err(Error::FieldMissing("gateway_message"));
    }
    let theirs = comparison::of_gateway(&gateway_message);
    let Comparison {
        offset,
        ours,
        theirs,
        guess,
        parameter,
    } = comparison::compare(&string_to_sign, theirs);
    let guess = match guess {
        None => pb::DifferenceGuess::Unspecified,
        Some(Guess::Charset) => pb::DifferenceGuess::Charset,
        Some(Guess::OnlyOurs) => pb::DifferenceGuess::ParameterOnlyOurs,
        Some(Guess::OnlyTheirs) => pb::DifferenceGuess::ParameterOnlyTheirs,
        Some(Guess::Order) => pb::DifferenceGuess::Order,
        Some(Guess::Escaping) => pb::DifferenceGuess::Escaping,
        Some(Guess::Value) => pb::DifferenceGuess::Value,
    };
    Ok(pb::DiffSignStringResponse {
        equal: offset.is_none(),
        offset: u32::try_from(offset.unwrap_or_default()).unwrap_or(u32::MAX),
        ours,
        theirs,
        guess: guess.into(),
        parameter: parameter.unwrap_or_default(),
    })
}

/// `AlipayService.CheckProfile`.
pub(in crate::service) async fn check_profile(
    context: &Context,
    call: &Call,
    message: pb::CheckProfileRequest,
) -> Result<pb::CheckProfileResponse, Error> {
    let pb::CheckProfileRequest {
        app_key,
        alipay_key,
    } = message;
    let app_key = key_ref(app_key, "app_key")?;
    let alipay_key = key_ref(alipay_key, "alipay_key")?;
    let checked = profile::check(context, call, &app_key, &alipay_key).await?;
    let profile::Checked {
        findings,
        app_key,
        alipay_key,
    } = checked;
    Ok(pb::CheckProfileResponse {
        findings: findings.into_iter().map(|it| finding(it).into()).collect(),
        app_key: Some(key_use(app_key)),
        alipay_key: Some(key_use(alipay_key)),
    })
}

fn finding(finding: Finding) -> pb::ProfileFinding {
    match finding {
        Finding::SamePublicKey => pb::ProfileFinding::SamePublicKey,
        Finding::SchemesDiffer => pb::ProfileFinding::SchemesDiffer,
        Finding::ShortKey(Owner::App) => pb::ProfileFinding::AppKeyShort,
        Finding::ShortKey(Owner::Alipay) => pb::ProfileFinding::AlipayKeyShort,
        Finding::WeakScheme(Owner::App) => pb::ProfileFinding::AppKeyWeakScheme,
        Finding::WeakScheme(Owner::Alipay) => pb::ProfileFinding::AlipayKeyWeakScheme,
        Finding::Expiring(Owner::App) => pb::ProfileFinding::AppKeyExpiring,
        Finding::Expiring(Owner::Alipay) => pb::ProfileFinding::AlipayKeyExpiring,
    }
}
