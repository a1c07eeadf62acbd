//! How records are sent: in chunks, each one command with an id of its own, so that an import that broke is resumed by
//! running it again, and no chunk is applied twice.

use prost::Message as _;
use roundsman_proto::trade::RecordToImport;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::csv::Entry;
use super::key;

/// A chunk has at most so many records …
const RECORDS: usize = 1_000;
/// … and, if it has more than one, at most so many bytes: half of what a server takes in one message.
const BYTES: usize = 2 * 1024 * 1024;

/// A command's worth of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The command's id.
    pub command: Uuid,
    /// In the order of the file; at least one.
    pub entries: Vec<Entry>,
}

impl Chunk {
    /// The lines on which its first and its last record begin.
    #[must_use]
    pub fn lines(&self) -> (u64, u64) {
        let line = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.line);
        (line(self.entries.first()), line(self.entries.last()))
    }

    /// The line of a record.
    #[must_use]
    pub fn line_of(&self, record: Uuid) -> Option<u64> {
        self.entries.iter().find(|entry| entry.record.record_id == record.as_bytes()).map(|entry| entry.line)
    }

    /// The records.
    #[must_use]
    pub fn records(&self) -> Vec<RecordToImport> {
        self.entries.iter().map(|entry| entry.record.clone()).collect()
    }
}

/// Cuts an import into chunks. The id of a chunk's command follows from what the whole file says and the chunk's number;
/// `run` sets an import apart from an earlier one of the same content.
#[must_use]
pub fn chunks(entries: Vec<Entry>, run: Option<Uuid>) -> Vec<Chunk> {
    let mut content = Sha256::new();
    let mut cut: Vec<(usize, Vec<Entry>)> = Vec::new();
    for entry in entries {
        let encoded = entry.record.encode_length_delimited_to_vec();
        content.update(&encoded);
        match cut.last_mut() {
            Some((bytes, chunk)) if chunk.len() < RECORDS && *bytes + encoded.len() <= BYTES => {
                *bytes += encoded.len();
                chunk.push(entry);
            }
            _ => cut.push((encoded.len(), vec![entry])),
        }
    }
    let content = hex::encode(content.finalize());
    let run = run.map(|run| format!("/{run}")).unwrap_or_default();
    let command = |number| key::id("command", &format!("{content}/{number}{run}"));
    cut.into_iter().enumerate().map(|(number, (_, entries))| Chunk { command: command(number), entries }).collect()
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::Customer;
    use roundsman_proto::trade::record_to_import::Record;

    use super::*;

    fn entries(count: u64, comment: &str) -> Vec<Entry> {
        let entry = |line: u64| {
            let customer =
                Customer { name: format!("{line}"), legal_address: comment.to_owned(), ..Customer::default() };
            let record_id = Uuid::from_u128(line.into()).as_bytes().to_vec();
            Entry {
                line,
                record: RecordToImport { record_id, record: Some(Record::Customer(customer)), closed_month: 0 },
            }
        };
        (1..=count).map(entry).collect()
    }

    #[test]
    fn chunks_are_bounded_and_keep_the_order() {
        let cut = chunks(entries(2_001, ""), None);
        assert_eq!(cut.iter().map(|chunk| chunk.entries.len()).collect::<Vec<_>>(), [1_000, 1_000, 1]);
        assert_eq!(cut.iter().map(Chunk::lines).collect::<Vec<_>>(), [(1, 1_000), (1_001, 2_000), (2_001, 2_001)]);
        assert_eq!(cut[1].line_of(Uuid::from_u128(1_500)), Some(1_500));
        let wide = chunks(entries(100, &"x".repeat(100_000)), None);
        assert_eq!(wide.iter().map(|chunk| chunk.entries.len()).collect::<Vec<_>>(), [20, 20, 20, 20, 20]);
        assert_eq!(chunks(Vec::new(), None), []);
    }

    #[test]
    fn the_same_content_has_the_same_commands() {
        let ids =
            |comment, run| chunks(entries(1_001, comment), run).iter().map(|chunk| chunk.command).collect::<Vec<_>>();
        let first = ids("", None);
        assert_ne!(first[0], first[1]);
        assert_eq!(ids("", None), first);
        assert!(ids("x", None).iter().chain(&ids("", Some(Uuid::from_u128(1)))).all(|id| !first.contains(id)));
    }
}
