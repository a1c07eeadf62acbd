//! A rule's "no": typed, and with what is needed to act on it.

use roundsman_proto::sync::Fact;
use roundsman_proto::trade::Reason;
use uuid::Uuid;

/// Why a command is not carried out. Facts name only records that the caller may see; whoever adds one answers for that.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// The stable code.
    pub reason: Reason,
    /// The field of the command that is to blame, by its name in the message; empty: none in particular.
    pub field: String,
    /// What the decision was based on.
    pub facts: Vec<Fact>,
}

impl Rejection {
    /// For this reason.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self { reason, field: String::new(), facts: Vec::new() }
    }

    /// This field of the command is to blame.
    #[must_use]
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.field = name.into();
        self
    }

    /// It is about this record.
    #[must_use]
    pub fn about(self, record: Uuid) -> Self {
        self.fact(Some(record), "record_id", record)
    }

    /// It was decided because of this.
    #[must_use]
    pub fn fact(mut self, record: Option<Uuid>, name: &str, value: impl ToString) -> Self {
        let record_id = record.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        self.facts.push(Fact { record_id, name: name.to_owned(), value: value.to_string() });
        self
    }
}
