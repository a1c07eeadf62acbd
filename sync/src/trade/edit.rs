//! Settling an edit field by field, by what the editor saw, what stands, and what the editor wants.

use roundsman_proto::sync::Override;
use roundsman_proto::trade::Reason;
use uuid::Uuid;

use super::capture::Editor;
use crate::merge::{Merge, three_way};

/// Whose value stands where both sides changed the same place. The record does not say who wrote the value that stands:
/// it counts as the other side's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The office's.
    OfficeWins,
    /// The rep's.
    DeviceWins,
}

impl Policy {
    fn editor_wins(self, editor: Editor) -> bool {
        match (self, editor) {
            (Self::OfficeWins, Editor::Office) | (Self::DeviceWins, Editor::Rep(_)) => true,
            (Self::OfficeWins, Editor::Rep(_)) | (Self::DeviceWins, Editor::Office) => false,
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::OfficeWins => Reason::OfficeWins,
            Self::DeviceWins => Reason::DeviceWins,
        }
    }
}

/// The edits of one command to one record, and what became of them.
#[derive(Clone, Debug)]
pub struct Edits {
    record: Uuid,
    editor: Editor,
    /// Where two changes met.
    pub overrides: Vec<Override>,
    /// Some value was not the one that the editor saw.
    pub stale: bool,
    /// Something was taken.
    pub changed: bool,
}

/// A place in a record.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The line; empty: the head.
    pub line_id: &'a [u8],
    /// The field, by its name in the message.
    pub field: &'a str,
}

impl Edits {
    /// None yet.
    #[must_use]
    pub fn new(record: Uuid, editor: Editor) -> Self {
        Self { record, editor, overrides: Vec::new(), stale: false, changed: false }
    }

    /// The value that stands from now on. `show` makes it readable for whoever lost.
    pub fn settle<T: PartialEq + Clone>(
        &mut self,
        place: Place<'_>,
        policy: Policy,
        change: (&T, &T),
        current: &T,
        show: impl Fn(&T) -> String,
    ) -> T {
        let (base, wanted) = change;
        let taken = match three_way(base, current, wanted) {
            Merge::Keep => false,
            Merge::Stale => {
                self.stale = true;
                false
            }
            Merge::Take => true,
            Merge::Conflict => {
                let taken = policy.editor_wins(self.editor);
                let (kept, lost) = if taken { (wanted, current) } else { (current, wanted) };
                self.met(place, policy.reason(), show(kept), show(lost));
                taken
            }
        };
        self.changed |= taken;
        if taken { wanted.clone() } else { current.clone() }
    }

    /// Two changes met, and this became of it.
    pub fn met(&mut self, place: Place<'_>, reason: Reason, kept: String, lost: String) {
        self.overrides.push(Override {
            record_id: self.record.as_bytes().to_vec(),
            line_id: place.line_id.to_vec(),
            field: place.field.to_owned(),
            kept,
            lost,
            reason: reason.into(),
        });
    }
}

/// An id in its usual text form; what is none, as hexadecimal digits; none at all, empty.
#[must_use]
pub fn show_id(id: &[u8]) -> String {
    match Uuid::from_slice(id) {
        Ok(id) => id.to_string(),
        Err(_) => id.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REP: Editor = Editor::Rep(Uuid::from_u128(1));
    const HEAD: Place<'_> = Place { line_id: &[], field: "comment" };

    fn settle(editor: Editor, policy: Policy, current: i32) -> (i32, Edits) {
        let mut edits = Edits::new(Uuid::from_u128(2), editor);
        let value = edits.settle(HEAD, policy, (&1, &2), &current, i32::to_string);
        (value, edits)
    }

    #[test]
    fn the_policy_decides_and_the_loser_is_told() {
        let cases = [
            (REP, Policy::OfficeWins, 3),
            (Editor::Office, Policy::OfficeWins, 2),
            (REP, Policy::DeviceWins, 2),
            (Editor::Office, Policy::DeviceWins, 3),
        ];
        for (editor, policy, stands) in cases {
            let (value, edits) = settle(editor, policy, 3);
            assert_eq!((value, edits.changed), (stands, stands == 2));
            let lost = if stands == 2 { "3" } else { "2" };
            assert_eq!(
                (edits.overrides[0].kept.as_str(), edits.overrides[0].lost.as_str()),
                (&*stands.to_string(), lost)
            );
        }
    }

    #[test]
    fn without_a_conflict_nobody_loses() {
        let (value, edits) = settle(REP, Policy::OfficeWins, 1);
        assert_eq!((value, edits.changed, edits.stale, edits.overrides.len()), (2, true, false, 0));
        let (value, edits) = settle(REP, Policy::OfficeWins, 2);
        assert_eq!((value, edits.changed, edits.stale, edits.overrides.len()), (2, false, true, 0));
    }
}
