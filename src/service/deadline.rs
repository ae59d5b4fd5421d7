//! The deadline of a call: what its `grpc-timeout` header asks for, within what it may have.

use std::time::Duration;

use http::HeaderMap;

use crate::limits;
use crate::service::Error;

/// The bounds of one listener.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    default: Duration,
    max: Duration,
}

impl Deadlines {
    /// A call that asks for nothing gets `default`; none gets more than `max`, nor than
    /// [`limits::DEADLINE_MAX`].
    #[must_use]
    pub fn new(default: Duration, max: Duration) -> Self {
        let max = max.min(limits::DEADLINE_MAX);
        Self {
            default: default.min(max),
            max,
        }
    }

    /// How long a request with these headers may take.
    ///
    /// # Errors
    /// [`Error::DeadlineMalformed`].
    pub fn of(&self, headers: &HeaderMap) -> Result<Duration, Error> {
        let Some(value) = headers.get("grpc-timeout") else {
            return Ok(self.default);
        };
        let asked = value.to_str().ok().and_then(timeout_of);
        Ok(asked.ok_or(Error::DeadlineMalformed)?.min(self.max))
    }
}

/// `grpc-timeout`: at most eight digits and a unit (gRPC over HTTP/2, "Timeout").
fn timeout_of(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeout_is_read_as_the_protocol_writes_it() {
        assert_eq!(timeout_of("1S"), Some(Duration::from_secs(1)));
        assert_eq!(
            timeout_of("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
        assert_eq!(timeout_of("250m"), Some(Duration::from_millis(250)));
        for wrong in [
            "",
            "S",
            "1",
            "1s",
            "-1S",
            "+1S",
            "1.5S",
            "123456789S",
            "1 S",
            "1é",
        ] {
            assert_eq!(timeout_of(wrong), None, "{wrong}");
        }
    }
}
