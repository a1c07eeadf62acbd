//! Who calls.

use roundsman_proto::auth::Role;
use uuid::Uuid;

/// Who calls, as the access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant.
    pub tenant: i64,
    /// The user.
    pub user: Uuid,
    /// What the user may do.
    pub role: Role,
    /// The rep that the user is.
    pub rep: Option<Uuid>,
    /// The team that the user supervises.
    pub team: Option<Uuid>,
    /// The device, if the token was issued to one.
    pub device: Option<Uuid>,
}
