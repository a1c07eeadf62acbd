//! The pages of a cut: in memory up to a bound, then, where the cut must take everything, in a temporary file.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Seek as _, Write as _};

use prost::Message as _;
use roundsman_proto::sync::Page;

use super::PullError;
use crate::error::StoreError;

/// Pages in the order in which they were pushed.
pub(super) struct Pages {
    bound: usize,
    spill: bool,
    bytes: usize,
    memory: std::collections::VecDeque<Page>,
    file: Option<BufWriter<File>>,
    reader: Option<BufReader<File>>,
}

impl Pages {
    /// Up to about `bound` bytes in memory; the rest in a file if `spill`.
    pub fn new(bound: usize, spill: bool) -> Self {
        Self { bound, spill, bytes: 0, memory: Default::default(), file: None, reader: None }
    }

    /// Whether nothing more is taken.
    pub fn is_full(&self) -> bool {
        !self.spill && self.bytes >= self.bound
    }

    /// Takes a page.
    pub fn push(&mut self, page: Page) -> Result<(), PullError> {
        self.bytes += page.payload.len();
        if self.bytes <= self.bound || !self.spill {
            self.memory.push_back(page);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(BufWriter::new(tempfile::tempfile().map_err(disk)?)),
        };
        let bytes = page.encode_to_vec();
        let length = u32::try_from(bytes.len()).expect("a page is small");
        file.write_all(&length.to_le_bytes()).and_then(|()| file.write_all(&bytes)).map_err(disk)
    }

    /// The next page.
    pub fn next(&mut self) -> Result<Option<Page>, PullError> {
        if let Some(page) = self.memory.pop_front() {
            return Ok(Some(page));
        }
        if let Some(file) = self.file.take() {
            let mut file = file.into_inner().map_err(|error| disk(error.into_error()))?;
            file.rewind().map_err(disk)?;
            self.reader = Some(BufReader::new(file));
        }
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        let mut length = [0; 4];
        match reader.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(disk(error)),
        }
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        reader.read_exact(&mut bytes).map_err(disk)?;
        let page =
            Page::decode(bytes.as_slice()).map_err(|error| StoreError::Corrupt(format!("a spilled page: {error}")))?;
        Ok(Some(page))
    }
}

fn disk(error: std::io::Error) -> PullError {
    PullError::Store(StoreError::Unavailable(sqlx::Error::Io(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_in_memory_comes_back_from_the_disk_in_order() {
        let page = |id| Page { bucket_id: id, payload: vec![1; 100].into(), ..Page::default() };
        let mut pages = Pages::new(250, true);
        for id in 0..10 {
            assert!(!pages.is_full());
            pages.push(page(id)).expect("a page");
        }
        assert_eq!(pages.memory.len(), 2);
        for id in 0..10 {
            assert_eq!(pages.next().expect("reads"), Some(page(id)));
        }
        assert_eq!(pages.next().expect("reads"), None);
    }

    #[test]
    fn without_spilling_it_is_full_at_its_bound() {
        let mut pages = Pages::new(250, false);
        for _ in 0..3 {
            assert!(!pages.is_full());
            pages.push(Page { payload: vec![1; 100].into(), ..Page::default() }).expect("a page");
        }
        assert!(pages.is_full());
    }
}
