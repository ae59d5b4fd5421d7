//! What a refusal must look like: canonical code, reason, field, and nothing else.

use pintle::client::{Error, Refused};
use pintle::service::pb::v1::Refusal;
use tonic::{Code, Response, Status};

/// The refusal of a call that was refused.
pub fn refused<T>(answer: Result<T, Error>) -> Refused {
    match answer {
        Err(Error::Refused(refused)) => refused,
        Err(Error::Connect(error)) => panic!("no connection: {error:?}"),
        Ok(_) => panic!("the call was accepted"),
    }
}

/// The status of a call, made with a bare client, that was refused.
#[track_caller]
pub fn status<T>(answer: Result<Response<T>, Status>) -> Status {
    answer.err().expect("the call was accepted")
}

/// What the refusing status of a bare client says.
pub fn told<T>(answer: Result<Response<T>, Status>) -> Result<T, Error> {
    answer
        .map(Response::into_inner)
        .map_err(|status| Error::Refused((&status).into()))
}

/// Holds that a call was refused with this code and reason, and names this field.
#[track_caller]
pub fn assert_refused<T>(
    answer: Result<T, Error>,
    code: Code,
    reason: &str,
    field: impl Into<Option<&'static str>>,
) {
    let Refused {
        code: got,
        reason: why,
        field: at,
        message,
    } = refused(answer);
    let expected = (code, reason, field.into());
    assert_eq!((got, why.as_str(), at.as_deref()), expected, "{message}");
}

/// An item's refusal says what the refusal of a call of its own says.
#[track_caller]
pub fn assert_refused_alike<T>(refusal: &Refusal, alone: Result<T, Error>) {
    let alone = refused(alone);
    assert_eq!(Code::from_i32(refusal.code), alone.code);
    assert_eq!(refusal.reason, alone.reason);
    assert_eq!(refusal.field, alone.field.unwrap_or_default());
    assert_eq!(refusal.message, alone.message);
}
