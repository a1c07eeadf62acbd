//! How errors reach a caller: the one mapping to gRPC statuses.
//!
//! Each status says in `google.rpc.ErrorInfo` why, by a stable code in the domain "roundsman"; most are names of
//! `roundsman.trade.v1.Reason` without its prefix. Beside it stand the fields that are to blame, when to try again, or
//! the id under which our log has the rest. What a driver or the database said stays in the log.

use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use roundsman_proto::trade::Reason;
use roundsman_sync::trade::rejection::Rejection;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};
use uuid::Uuid;

use crate::auth::{AuthError, Refusal, Taken};
use crate::error::StoreError;
use crate::lane::LaneError;

/// Whose codes they are.
pub const DOMAIN: &str = "roundsman";
/// When to come back if the database does not answer, or there is too much to do.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Details travel in a header, and every client takes headers of 8 KiB: so many violations and facts, and no more …
const LISTED: usize = 8;
/// … their texts of so many bytes.
const LISTED_BYTES: usize = 96;

tokio::task_local! {
    static REQUEST: Uuid;
}

/// Does this under the id of a request, by which the log and the caller name it.
pub fn with_request_id<F: Future>(id: Uuid, work: F) -> impl Future<Output = F::Output> {
    REQUEST.scope(id, work)
}

/// The id of the request that is being answered.
#[must_use]
pub fn request_id() -> Option<Uuid> {
    REQUEST.try_with(|id| *id).ok()
}

/// A field that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field's name in the message.
    pub field: String,
    /// The stable code.
    pub reason: Reason,
    /// In words.
    pub text: String,
}

/// INVALID_ARGUMENT for these fields.
#[must_use]
pub fn invalid(violations: &[Violation]) -> Status {
    let first = violations.first().map_or("MISSING_FIELD", |violation| code_of(violation.reason));
    let fields: Vec<FieldViolation> = violations
        .iter()
        .take(LISTED)
        .map(|violation| FieldViolation {
            field: short(&violation.field),
            description: short(&violation.text),
            reason: code_of(violation.reason).to_owned(),
            localized_message: None,
        })
        .collect();
    let text = violations.first().map_or_else(
        || "the request is not as it must be".to_owned(),
        |violation| format!("{}: {}", short(&violation.field), short(&violation.text)),
    );
    let mut details = info(first);
    details.set_bad_request(fields);
    Status::with_error_details(Code::InvalidArgument, text, details)
}

/// The fault is ours: INTERNAL. The caller gets the id under which the log has what happened.
#[must_use]
pub fn internal(error: impl Display) -> Status {
    let request = request_id().map_or_else(|| "unknown".to_owned(), |id| id.simple().to_string());
    tracing::error!(request, %error, "a request failed through a fault of ours");
    let mut details = info("INTERNAL");
    details.set_request_info(request.clone(), "");
    Status::with_error_details(Code::Internal, format!("a fault of the server; its log has it as {request}"), details)
}

/// Come back later: RESOURCE_EXHAUSTED.
#[must_use]
pub fn exhausted(reason: &'static str, text: &'static str, retry_after: Duration) -> Status {
    let mut details = info(reason);
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::ResourceExhausted, text, details)
}

/// The position is no point of the tenant's history, or too old to go on from: OUT_OF_RANGE.
#[must_use]
pub fn position_unknown() -> Status {
    let text = "the server does not know this position; begin anew";
    Status::with_error_details(Code::OutOfRange, text, info("POSITION_UNKNOWN"))
}

/// Come back later, here or elsewhere: UNAVAILABLE.
#[must_use]
pub fn unavailable(text: &'static str) -> Status {
    elsewhere("UNAVAILABLE", text)
}

fn elsewhere(reason: &'static str, text: &'static str) -> Status {
    let mut details = info(reason);
    details.set_retry_info(Some(RETRY_AFTER));
    Status::with_error_details(Code::Unavailable, text, details)
}

/// The server goes away; come back after this long, here or elsewhere: UNAVAILABLE.
#[must_use]
pub fn stopping(retry_after: Duration) -> Status {
    let mut details = info("STOPPING");
    details.set_retry_info(Some(retry_after));
    Status::with_error_details(Code::Unavailable, "the server is stopping", details)
}

/// Not let in, or not let do this: UNAUTHENTICATED or PERMISSION_DENIED.
#[must_use]
pub fn refused(refusal: Refusal) -> Status {
    use Code::{PermissionDenied, Unauthenticated, Unimplemented};

    let (code, reason, text) = match refusal {
        Refusal::TokenMissing => (Unauthenticated, "TOKEN_MISSING", "an access token is needed"),
        Refusal::TokenInvalid => (Unauthenticated, "TOKEN_INVALID", "the access token is not good"),
        Refusal::TokenExpired => (Unauthenticated, "TOKEN_EXPIRED", "the access token has ended; refresh it"),
        Refusal::SessionEnded => (Unauthenticated, "SESSION_ENDED", "the session has ended; log in again"),
        Refusal::BadCredentials => (Unauthenticated, "BAD_CREDENTIALS", "tenant, login or password is wrong"),
        Refusal::RefreshTokenInvalid => {
            (Unauthenticated, "REFRESH_TOKEN_INVALID", "the refresh token is not good; log in again")
        }
        Refusal::RoleNotAllowed => (PermissionDenied, "ROLE_NOT_ALLOWED", "the role may not do this"),
        Refusal::DeviceNeeded => (PermissionDenied, "DEVICE_NEEDED", "log in as a device; it needs a replica"),
        Refusal::DeviceRevoked => {
            (PermissionDenied, "DEVICE_REVOKED", "the device is revoked; it may push what it holds, and nothing else")
        }
        Refusal::SetupCodeInvalid => (PermissionDenied, "SETUP_CODE_INVALID", "the setup code is wrong, or was used"),
        Refusal::UnknownMethod => (Unimplemented, "UNKNOWN_METHOD", "there is no such method"),
    };
    Status::with_error_details(code, text, info(reason))
}

/// The device is revoked, and is to erase what it holds: PERMISSION_DENIED, and `wipe` says so.
#[must_use]
pub fn wiped() -> Status {
    let metadata = HashMap::from([("wipe".to_owned(), "true".to_owned())]);
    let details = ErrorDetails::with_error_info("DEVICE_REVOKED", DOMAIN, metadata);
    let text = "the device is revoked; when it has pushed what waits, it is to erase what it holds";
    Status::with_error_details(Code::PermissionDenied, text, details)
}

/// The stable code of a status, if it is one of ours.
#[must_use]
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().filter(|info| info.domain == DOMAIN).map(|info| info.reason)
}

/// The database: UNAVAILABLE if it does not answer, nothing is known of what was asked of it, or only a newer server may
/// write; INTERNAL if it holds or refuses what it should not.
#[must_use]
pub fn of_store(error: &StoreError) -> Status {
    match error {
        StoreError::Unavailable(inner) => {
            tracing::warn!(error = %inner, "the database is not available");
            unavailable("the database does not answer; try again")
        }
        StoreError::Overtaken => {
            tracing::warn!(%error, "again and again");
            unavailable("another program writes to the database; try again")
        }
        StoreError::Panicked(_) => {
            tracing::error!(%error, "commands are neither decided nor kept");
            unavailable("the server has failed; try again")
        }
        StoreError::Outdated { .. } => {
            tracing::error!(%error, "this server writes no more");
            elsewhere("SERVER_OUTDATED", "this server is older than the data; another one writes")
        }
        StoreError::Data(_) | StoreError::Corrupt(_) | StoreError::Migration(_) | StoreError::Setting(_) => {
            internal(error)
        }
    }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        of_store(&error)
    }
}

impl From<LaneError> for Status {
    fn from(error: LaneError) -> Self {
        match error {
            LaneError::Busy => exhausted("LANE_FULL", "too many commands wait", RETRY_AFTER),
            LaneError::Stopping => unavailable("the server is stopping"),
            LaneError::Store(error) => of_store(&error),
        }
    }
}

impl From<AuthError> for Status {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Store(error) => error.into(),
            AuthError::Refused(refusal) => refused(refusal),
            AuthError::Throttled(wait) => exhausted("TOO_MANY_ATTEMPTS", "too many attempts; wait", wait),
            AuthError::Busy => exhausted("BUSY", "too many log in at once; try again", RETRY_AFTER),
            AuthError::Taken(taken) => {
                let (reason, text) = match taken {
                    Taken::Id => ("ID_TAKEN", "there is another user with this id"),
                    Taken::Login => ("LOGIN_TAKEN", "there is another user with this login"),
                    Taken::Tenant => ("TENANT_TAKEN", "there is another tenant with this name"),
                };
                Self::with_error_details(Code::AlreadyExists, text, info(reason))
            }
        }
    }
}

/// A rule that said no. Facts go along as metadata; `<name>_of` names the record that a fact is about.
#[must_use]
pub fn rejected(rejection: &Rejection) -> Status {
    let code = grpc_code(rejection.reason);
    let reason = code_of(rejection.reason);
    let mut facts = HashMap::new();
    for fact in rejection.facts.iter().take(LISTED) {
        facts.insert(short(&fact.name), short(&fact.value));
        if let Ok(record) = Uuid::from_slice(&fact.record_id)
            && record.to_string() != fact.value
        {
            facts.insert(format!("{}_of", short(&fact.name)), record.to_string());
        }
    }
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, facts);
    let text = if rejection.field.is_empty() {
        format!("rejected: {reason}")
    } else {
        format!("rejected: {reason} in {}", short(&rejection.field))
    };
    if code == Code::InvalidArgument && !rejection.field.is_empty() {
        details.set_bad_request(vec![FieldViolation {
            field: short(&rejection.field),
            description: text.clone(),
            reason: reason.to_owned(),
            localized_message: None,
        }]);
    }
    Status::with_error_details(code, text, details)
}

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new())
}

fn code_of(reason: Reason) -> &'static str {
    reason.as_str_name().strip_prefix("REASON_").unwrap_or_else(|| reason.as_str_name())
}

/// Cut to what fits into a header.
fn short(text: &str) -> String {
    text[..text.floor_char_boundary(LISTED_BYTES)].to_owned()
}

/// What kind of no it is: about what was named, about the caller, about the form; otherwise about a state.
fn grpc_code(reason: Reason) -> Code {
    use Reason as R;

    if matches!(reason, R::NotFound | R::Removed) {
        Code::NotFound
    } else if matches!(reason, R::NotInScope | R::GraceExceeded | R::RoleNotAllowed | R::DeviceRevoked) {
        Code::PermissionDenied
    } else if matches!(reason, R::CommandIdReused | R::IdTaken | R::IdOfAnotherKind) {
        Code::AlreadyExists
    } else if FORM.contains(&reason) {
        Code::InvalidArgument
    } else {
        Code::FailedPrecondition
    }
}

/// What no state of the server would make good.
const FORM: [Reason; 11] = [
    Reason::MissingField,
    Reason::OutOfRange,
    Reason::TooLong,
    Reason::BadId,
    Reason::NulCharacter,
    Reason::UnknownValue,
    Reason::RepeatedId,
    Reason::Mismatch,
    Reason::CurrencyMismatch,
    Reason::LimitExceeded,
    Reason::UnknownCommand,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn code_and_reason(status: &Status) -> (Code, String) {
        (status.code(), reason(status).expect("has a reason"))
    }

    #[test]
    fn what_the_database_said_stays_here() {
        let error = || sqlx::Error::Protocol("password=hunter2 at 10.0.0.7".to_owned());
        let retry = Status::from(StoreError::Unavailable(error()));
        assert_eq!(code_and_reason(&retry), (Code::Unavailable, "UNAVAILABLE".to_owned()));
        assert_eq!(retry.get_details_retry_info().and_then(|info| info.retry_delay), Some(RETRY_AFTER));
        for fault in [
            StoreError::Data(error()),
            StoreError::Corrupt("hunter2".to_owned()),
            StoreError::Migration("hunter2".to_owned()),
            StoreError::Setting("hunter2".to_owned()),
        ] {
            let status = Status::from(fault);
            assert_eq!(code_and_reason(&status), (Code::Internal, "INTERNAL".to_owned()));
            assert!(status.get_details_retry_info().is_none(), "trying again is useless");
            for hidden in ["hunter2", "10.0.0.7"] {
                assert!(!format!("{status:?}{:?}", status.get_error_details()).contains(hidden), "{status:?}");
            }
        }
        assert!(!format!("{retry:?}{:?}", retry.get_error_details()).contains("hunter2"));
    }

    #[tokio::test]
    async fn a_fault_of_ours_names_the_request() {
        let id = Uuid::from_u128(7);
        let status = with_request_id(id, async { internal("a bug") }).await;
        assert_eq!(status.get_details_request_info().map(|info| info.request_id), Some(id.simple().to_string()));
        assert!(status.message().contains(&id.simple().to_string()), "{status}");
        assert_eq!(
            internal("a bug").get_details_request_info().map(|info| info.request_id),
            Some("unknown".to_owned())
        );
    }

    #[test]
    fn fields_are_named() {
        let violation =
            |field: &str, reason| Violation { field: field.to_owned(), reason, text: "is wrong".to_owned() };
        let status = invalid(&[violation("login", Reason::TooLong), violation("role", Reason::UnknownValue)]);
        assert_eq!(code_and_reason(&status), (Code::InvalidArgument, "TOO_LONG".to_owned()));
        let fields = status.get_details_bad_request().expect("names the fields").field_violations;
        let named: Vec<_> = fields.iter().map(|field| (field.field.as_str(), field.reason.as_str())).collect();
        assert_eq!(named, [("login", "TOO_LONG"), ("role", "UNKNOWN_VALUE")]);
    }

    #[test]
    fn what_succeeds_later_says_when() {
        let wait = Duration::from_secs(30);
        let status = Status::from(AuthError::Throttled(wait));
        assert_eq!(code_and_reason(&status), (Code::ResourceExhausted, "TOO_MANY_ATTEMPTS".to_owned()));
        assert_eq!(status.get_details_retry_info().and_then(|info| info.retry_delay), Some(wait));
    }

    #[test]
    fn a_rejection_keeps_its_reason_and_its_facts() {
        let (order, customer) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let rejection =
            Rejection::new(Reason::OrderReleased).about(order).fact(Some(customer), "credit_limit_minor", 100);
        let status = rejected(&rejection);
        assert_eq!(code_and_reason(&status), (Code::FailedPrecondition, "ORDER_RELEASED".to_owned()));
        let facts = status.get_details_error_info().expect("has facts").metadata;
        let expected = [
            ("record_id", order.to_string()),
            ("credit_limit_minor", "100".to_owned()),
            ("credit_limit_minor_of", customer.to_string()),
        ];
        assert_eq!(facts, expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        let form = rejected(&Rejection::new(Reason::BadId).field("order_id"));
        assert_eq!(code_and_reason(&form), (Code::InvalidArgument, "BAD_ID".to_owned()));
        assert_eq!(form.get_details_bad_request().expect("names it").field_violations[0].field, "order_id");
        for (reason, code) in [
            (Reason::NotFound, Code::NotFound),
            (Reason::NotInScope, Code::PermissionDenied),
            (Reason::IdTaken, Code::AlreadyExists),
            (Reason::WrongState, Code::FailedPrecondition),
        ] {
            assert_eq!(rejected(&Rejection::new(reason)).code(), code, "{reason:?}");
        }
    }

    #[test]
    fn details_fit_into_a_header() {
        let long = "ж".repeat(10_000);
        let mut rejection = Rejection::new(Reason::BadId).field(&long);
        for number in 0..1_000 {
            rejection = rejection.fact(Some(Uuid::from_u128(number)), &format!("{number}{long}"), &long);
        }
        let violation = Violation { field: long.clone(), reason: Reason::TooLong, text: long };
        for status in [rejected(&rejection), invalid(&vec![violation; 1_000])] {
            let response = status.into_http::<()>();
            let size: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
            assert!(size < 8 * 1024, "{size}");
        }
    }
}
