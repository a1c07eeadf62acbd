//! The ids of records that another system knows by keys of its own: UUIDs of version 5, so that the same key is the same
//! record every time.

use uuid::Uuid;

/// In which ids of files are made.
const NAMESPACE: Uuid = Uuid::from_u128(0x7c1b_0f5e_83d4_4b36_a0c9_2e64_f1d7_5a18);

/// Everything that comes in a file comes from this system.
const SYSTEM: &str = "csv";

/// A UUID in its usual text form has so many characters.
const UUID_CHARS: usize = 36;

/// The id of what a file knows by this key: version 5 of system, kind and key.
#[must_use]
pub fn id(kind: &str, key: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{SYSTEM}/{kind}/{key}").as_bytes())
}

/// The record that a file refers to: by its code in files, or, when it did not come in a file, by its UUID.
#[must_use]
pub fn reference(kind: &str, code: &str) -> Uuid {
    let uuid = if code.len() == UUID_CHARS { Uuid::try_parse(code).ok() } else { None };
    uuid.filter(|id| !id.is_nil()).unwrap_or_else(|| id(kind, code))
}

/// The id of a user: the same login of the same tenant is the same user.
#[must_use]
pub fn user(tenant: &str, login: &str) -> Uuid {
    // Capitals don't matter in a login, and the length keeps ("a/b", "c") apart from ("a", "b/c").
    let name = format!("{SYSTEM}/user/{}/{tenant}/{}", tenant.len(), login.to_lowercase());
    Uuid::new_v5(&NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_always_the_same_record_and_a_uuid_is_itself() {
        // Integrators compute these: they must never change.
        assert_eq!(id("product", "A1").to_string(), "2bd0d662-ee85-56dd-94e4-1a5029d85e42");
        assert_eq!(reference("product", "A1"), id("product", "A1"));
        assert_ne!(id("product", "A1"), id("customer", "A1"));
        let uuid = Uuid::from_u128(7);
        assert_eq!(reference("territory", &uuid.to_string()), uuid);
        assert_eq!(user("Acme", "ANNA"), user("Acme", "anna"));
        assert_ne!(user("a/b", "c"), user("a", "b/c"));
    }
}
