//! From what went wrong to what a gRPC client gets: one error, one map.

use std::time::Duration;

use prost::Message;
use tonic::{Code, Status};

/// Why a call was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("invalid request: {}", .0.iter().map(Violation::to_string).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Violation>),
    #[error("{0}")]
    Denied(&'static str),
    #[error("{what}: try again in {} ms", .retry_after.as_millis())]
    Exhausted { what: &'static str, retry_after: Duration },
    #[error("{0}")]
    Unavailable(String),
}

/// A field that cannot be accepted: which, why, and what to send instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {description}")]
pub(super) struct Violation {
    pub(super) field: String,
    pub(super) description: String,
}

impl Refusal {
    pub(super) fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation { field: field.into(), description: description.into() }])
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        let (code, detail) = match refusal {
            Refusal::Invalid(violations) => (
                Code::InvalidArgument,
                Some(any("google.rpc.BadRequest", &bad_request(violations))),
            ),
            Refusal::Denied(_) => (Code::PermissionDenied, None),
            Refusal::Exhausted { retry_after, .. } => {
                (Code::ResourceExhausted, Some(any("google.rpc.RetryInfo", &retry(retry_after))))
            }
            Refusal::Unavailable(_) => (Code::Unavailable, None),
        };
        let Some(detail) = detail else { return Self::new(code, message) };
        let rich = RpcStatus { code: code as i32, message: message.clone(), details: vec![detail] };
        Self::with_details(code, message, rich.encode_to_vec().into())
    }
}

fn any(name: &str, detail: &impl Message) -> prost_types::Any {
    let type_url = format!("type.googleapis.com/{name}");
    prost_types::Any { type_url, value: detail.encode_to_vec() }
}

fn bad_request(violations: Vec<Violation>) -> BadRequest {
    let violation = |v: Violation| FieldViolation { field: v.field, description: v.description };
    BadRequest { field_violations: violations.into_iter().map(violation).collect() }
}

fn retry(after: Duration) -> RetryInfo {
    let retry_delay = prost_types::Duration {
        seconds: after.as_secs() as i64,
        nanos: after.subsec_nanos() as i32,
    };
    RetryInfo { retry_delay: Some(retry_delay) }
}

// The standard messages of `google/rpc/status.proto` and `error_details.proto`, as far as they are
// used here.

#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

#[derive(Clone, PartialEq, Message)]
struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    field_violations: Vec<FieldViolation>,
}

#[derive(Clone, PartialEq, Message)]
struct FieldViolation {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    description: String,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_and_retries_travel_as_standard_details() {
        let status = Status::from(Refusal::field("k", "300 is above 200: ask for less"));
        assert_eq!(status.code(), Code::InvalidArgument);
        let rich = RpcStatus::decode(status.details()).unwrap();
        assert_eq!(rich.details[0].type_url, "type.googleapis.com/google.rpc.BadRequest");
        let detail = BadRequest::decode(rich.details[0].value.as_slice()).unwrap();
        assert_eq!(detail.field_violations[0].field, "k");

        let retry_after = Duration::from_millis(1500);
        let status = Status::from(Refusal::Exhausted { what: "too many requests", retry_after });
        let rich = RpcStatus::decode(status.details()).unwrap();
        let detail = RetryInfo::decode(rich.details[0].value.as_slice()).unwrap();
        assert_eq!(detail.retry_delay.unwrap().nanos, 500_000_000);
    }
}
