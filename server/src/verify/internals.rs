//! Internal records as they are stored, and how they are compared with what they should be.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{Pages, Report, Seen};
use crate::error::StoreError;
use crate::internal::{Internal, server_id};
use crate::store::sql::Tx;

/// All internal records of a kind, by name.
pub(super) struct Internals<T>(BTreeMap<String, (i64, T)>);

/// Reads internal records, kind by kind.
pub(super) struct Reader<'a, 's> {
    pub(super) tx: &'a mut Tx,
    pub(super) tenant: i64,
    pub(super) report: &'a mut Report,
    pub(super) seen: &'a mut Seen<'s>,
    /// Those that were read.
    pub(super) kinds: BTreeSet<i64>,
}

impl Reader<'_, '_> {
    /// All of a kind. What can't be read, or can't be found by its name, is reported and left out.
    pub(super) async fn read<T: Internal>(&mut self, what: &'static str) -> Result<Internals<T>, StoreError> {
        let mut found = BTreeMap::new();
        let mut pages = Pages::of(T::KIND);
        while let Some(page) = pages.next(self.tx, self.tenant).await? {
            (self.seen)(page.len());
            for (id, stored) in page {
                let Ok(name) = String::from_utf8(stored.stamps.to_vec()) else {
                    self.report.find(format!("the internal record {id} of kind {} has no name", T::KIND));
                    continue;
                };
                if server_id(&name) != id || stored.removed_at_us.is_some() {
                    self.report.find(format!("{name} stands under {id}, where nobody finds it"));
                    continue;
                }
                match T::decode(stored.document) {
                    Ok(value) => {
                        found.insert(name, (stored.version, value));
                    }
                    Err(error) => self.report.find(format!("{name} can't be read: {error}")),
                }
            }
        }
        self.kinds.insert(T::KIND);
        self.report.count(what, found.len());
        Ok(Internals(found))
    }
}

impl<T: Internal + PartialEq> Internals<T> {
    /// The one of a key; what was never written is as it is by default.
    pub(super) fn of(&self, key: &T::Key) -> T
    where
        T: Clone,
    {
        self.0.get(&T::name(key)).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// The version that wrote the one of a key.
    pub(super) fn version(&self, key: &T::Key) -> Option<i64> {
        self.0.get(&T::name(key)).map(|(version, _)| *version)
    }

    /// The versions that wrote them.
    pub(super) fn versions(&self) -> impl Iterator<Item = i64> {
        self.0.values().map(|(version, _)| *version)
    }

    /// By name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, (_, value))| (name.as_str(), value))
    }

    /// Compares each with what it should be. `differ` tells a difference in words that go on after the name; `None`: it
    /// is none.
    pub(super) fn compare(
        &self,
        expected: &BTreeMap<String, T>,
        report: &mut Report,
        differ: impl Fn(&T, &T) -> Option<String>,
    ) {
        let nothing = T::default();
        let names: BTreeSet<&String> = self.0.keys().chain(expected.keys()).collect();
        for name in names {
            let stored = self.0.get(name).map_or(&nothing, |(_, value)| value);
            let right = expected.get(name).unwrap_or(&nothing);
            if stored != right
                && let Some(difference) = differ(stored, right)
            {
                report.find(format!("{name} {difference}"));
            }
        }
    }
}

/// Ids as internal records hold them: in ascending order.
pub(super) fn list(ids: &BTreeSet<Uuid>) -> Vec<Vec<u8>> {
    ids.iter().map(|id| id.as_bytes().to_vec()).collect()
}

/// How a list of ids differs from what it should be.
pub(super) fn differing_ids(stored: &[Vec<u8>], right: &[Vec<u8>]) -> Option<String> {
    if stored == right {
        return None;
    }
    let name = |id: &Vec<u8>| Uuid::from_slice(id).map_or_else(|_| format!("{id:02x?}"), |id| id.to_string());
    let of = |ids: &[Vec<u8>]| ids.iter().cloned().collect::<BTreeSet<_>>();
    let (stored_set, right_set) = (of(stored), of(right));
    let lacks: Vec<String> = right_set.difference(&stored_set).map(name).collect();
    let wrong: Vec<String> = stored_set.difference(&right_set).map(name).collect();
    Some(match (&lacks[..], &wrong[..]) {
        ([], []) => "names the right records, but not once each and in ascending order".to_owned(),
        (lacks, []) => format!("lacks {}", lacks.join(", ")),
        ([], wrong) => format!("names {}, which does not belong there", wrong.join(", ")),
        (lacks, wrong) => format!("lacks {} and names {} instead", lacks.join(", "), wrong.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_compared_in_words() {
        let ids =
            |numbers: &[u128]| numbers.iter().map(|id| Uuid::from_u128(*id).as_bytes().to_vec()).collect::<Vec<_>>();
        let [one, two] = [1, 2].map(Uuid::from_u128);
        assert_eq!(differing_ids(&ids(&[1, 2]), &ids(&[1, 2])), None);
        assert_eq!(differing_ids(&ids(&[1]), &ids(&[1, 2])), Some(format!("lacks {two}")));
        assert_eq!(differing_ids(&ids(&[2]), &ids(&[1])), Some(format!("lacks {one} and names {two} instead")));
        let wrong = Some(format!("names {two}, which does not belong there"));
        assert_eq!(differing_ids(&ids(&[1, 2]), &ids(&[1])), wrong);
        assert!(differing_ids(&ids(&[2, 1]), &ids(&[1, 2])).expect("differs").contains("ascending"));
    }
}
