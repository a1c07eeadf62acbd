//! Frames and pages: how rows travel.
//!
//! A frame is stored ready to be sent: it is one element of the `frames` field of `roundsman.sync.v1.Frames`, tag and
//! length included. Protobuf messages may be concatenated, so a page's payload is the plain concatenation of stored
//! frames, and a server sends rows without decoding them.

use std::cell::RefCell;

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{self, DecodeContext, WireType};
use roundsman_proto::sync as proto;
use thiserror::Error;
use uuid::Uuid;

use crate::limits::{PAGE_BYTES, PAGE_ROWS, PAYLOAD_BYTES};
use crate::version::Position;

/// Level 1 costs little and is as small as level 3 on rows like ours, within a few per cent.
const ZSTD_LEVEL: i32 = 1;
/// Below this a compressed payload saves nothing worth the time.
const COMPRESS_FROM_BYTES: usize = 256;

/// A place in a bucket: rows are ordered by version, then by record id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cursor {
    /// The version of a row.
    pub version: i64,
    /// Its record; `None`: before all rows of that version.
    pub record: Option<Uuid>,
}

impl Cursor {
    /// Right behind all rows of `version`, that is, before those of the next one.
    #[must_use]
    pub fn after(version: i64) -> Self {
        Self { version: version.saturating_add(1), record: None }
    }
}

impl From<Cursor> for proto::Cursor {
    fn from(cursor: Cursor) -> Self {
        let record_id = cursor.record.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
        Self { version: cursor.version, record_id }
    }
}

impl TryFrom<&proto::Cursor> for Cursor {
    type Error = PageError;

    fn try_from(wire: &proto::Cursor) -> Result<Self, PageError> {
        let record = match wire.record_id.as_slice() {
            [] => None,
            id => Some(Uuid::from_slice(id).map_err(|_| PageError::Id)?),
        };
        Ok(Self { version: wire.version, record })
    }
}

/// Why a page cannot be taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PageError {
    /// The payload says, or has, more than a page may have.
    #[error("a page of {0} bytes is over the limit of {PAYLOAD_BYTES}")]
    TooLarge(usize),
    /// The payload is not what its compression or its length says.
    #[error("the payload is damaged")]
    Payload,
    /// The number of frames is not the announced one.
    #[error("{announced} rows were announced, {found} came")]
    Rows {
        /// As the page says.
        announced: usize,
        /// As counted.
        found: usize,
    },
    /// A record id is not 16 bytes long.
    #[error("a record id must have 16 bytes")]
    Id,
    /// The page lacks its range or its build.
    #[error("a page must carry its range and its build")]
    Range,
    /// A frame is outside of the page's range, or the frames are out of order.
    #[error("the frames are not in the order of version and record")]
    Order,
}

/// One row, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The record.
    pub record: Uuid,
    /// The version of this row.
    pub version: i64,
    /// The record's document; `None`: it left the bucket.
    pub document: Option<Bytes>,
}

/// Makes the stored form of a row.
///
/// ```
/// use roundsman_sync::page::{encode_frame, decode_frames};
/// let record = uuid::Uuid::from_u128(7);
/// let mut payload = encode_frame(record, 3, Some(b"document"));
/// payload.extend(encode_frame(record, 4, None));
/// let rows = decode_frames(payload.into()).unwrap();
/// assert_eq!((rows[0].version, rows[1].document.is_none()), (3, true));
/// ```
#[must_use]
pub fn encode_frame(record: Uuid, version: i64, document: Option<&[u8]>) -> Vec<u8> {
    let frame =
        proto::Frame { record_id: record.as_bytes().to_vec(), version, document: document.map(Bytes::copy_from_slice) };
    proto::Frames { frames: vec![frame] }.encode_to_vec()
}

/// Reads the rows of an uncompressed payload. Their documents are slices of it.
///
/// # Errors
/// When it is not a sequence of frames.
pub fn decode_frames(payload: Bytes) -> Result<Vec<Row>, PageError> {
    let row = |frame: Result<Frame<'_>, PageError>| {
        let Frame { record, version, document } = frame?;
        Ok(Row { record, version, document: document.map(|document| payload.slice_ref(document)) })
    };
    frames(&payload).map(row).collect()
}

/// A frame where it stands.
struct Frame<'p> {
    record: Uuid,
    version: i64,
    document: Option<&'p [u8]>,
}

impl Frame<'_> {
    fn at(&self) -> Cursor {
        Cursor { version: self.version, record: Some(self.record) }
    }
}

/// The frames of an uncompressed payload, whatever fields else it has.
fn frames(payload: &[u8]) -> impl Iterator<Item = Result<Frame<'_>, PageError>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            match next_field(&mut rest) {
                Ok((1, Value::Bytes(frame))) => return Some(decode_frame(frame)),
                Ok((1, _)) => return Some(Err(PageError::Payload)),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
        None
    })
}

/// A `roundsman.sync.v1.Frame`, read by hand: a first sync has a million of them, and generated code allocates for each.
fn decode_frame(frame: &[u8]) -> Result<Frame<'_>, PageError> {
    let (mut record, mut version, mut document) = (&[][..], 0, None);
    let mut rest = frame;
    while !rest.is_empty() {
        match next_field(&mut rest)? {
            (1, Value::Bytes(id)) => record = id,
            (2, Value::Number(number)) => version = number.cast_signed(),
            (3, Value::Bytes(bytes)) => document = Some(bytes),
            (1..=3, _) => return Err(PageError::Payload),
            _ => {}
        }
    }
    Ok(Frame { record: Uuid::from_slice(record).map_err(|_| PageError::Id)?, version, document })
}

/// What a field holds.
enum Value<'m> {
    Bytes(&'m [u8]),
    Number(u64),
    /// Something that no frame has.
    Other,
}

/// Takes the next field of a message, with its number.
fn next_field<'m>(rest: &mut &'m [u8]) -> Result<(u32, Value<'m>), PageError> {
    let damaged = |_| PageError::Payload;
    let (number, wire_type) = encoding::decode_key(rest).map_err(damaged)?;
    let value = match wire_type {
        WireType::LengthDelimited => {
            let length = encoding::decode_varint(rest).map_err(damaged)?;
            let parts = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
            let (bytes, after) = parts.ok_or(PageError::Payload)?;
            *rest = after;
            Value::Bytes(bytes)
        }
        WireType::Varint => Value::Number(encoding::decode_varint(rest).map_err(damaged)?),
        WireType::SixtyFourBit | WireType::StartGroup | WireType::EndGroup | WireType::ThirtyTwoBit => {
            encoding::skip_field(wire_type, number, rest, DecodeContext::default()).map_err(damaged)?;
            Value::Other
        }
    };
    Ok((number, value))
}

/// A frame as it is stored, and what its place in a bucket is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredFrame<'p> {
    /// The record.
    pub record: Uuid,
    /// The version of this row.
    pub version: i64,
    /// The frame.
    pub bytes: &'p [u8],
}

impl StoredFrame<'_> {
    /// Its place.
    #[must_use]
    pub fn at(&self) -> Cursor {
        Cursor { version: self.version, record: Some(self.record) }
    }
}

/// The frames of an uncompressed payload as they are stored: no document is decoded.
///
/// ```
/// use roundsman_sync::page::{StoredFrame, encode_frame, stored_frames};
/// let record = uuid::Uuid::from_u128(7);
/// let first = encode_frame(record, 3, Some(b"document"));
/// let both = [first.clone(), encode_frame(record, 4, None)].concat();
/// let found = stored_frames(&both).collect::<Result<Vec<_>, _>>().unwrap();
/// assert_eq!(found[0], StoredFrame { record, version: 3, bytes: &first });
/// assert_eq!(found[1].version, 4);
/// assert!(stored_frames(&both[1..]).next().unwrap().is_err());
/// ```
pub fn stored_frames(payload: &[u8]) -> impl Iterator<Item = Result<StoredFrame<'_>, PageError>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let found = first_frame(rest);
        rest = found.as_ref().map_or(&[], |frame| &rest[frame.bytes.len()..]);
        Some(found)
    })
}

/// A stored frame has its record and its version first.
fn first_frame(payload: &[u8]) -> Result<StoredFrame<'_>, PageError> {
    let mut rest = payload;
    let (1, Value::Bytes(mut fields)) = next_field(&mut rest)? else { return Err(PageError::Payload) };
    let bytes = &payload[..payload.len() - rest.len()];
    let (1, Value::Bytes(id)) = next_field(&mut fields)? else { return Err(PageError::Payload) };
    let (2, Value::Number(version)) = next_field(&mut fields)? else { return Err(PageError::Payload) };
    let record = Uuid::from_slice(id).map_err(|_| PageError::Id)?;
    Ok(StoredFrame { record, version: version.cast_signed(), bytes })
}

/// How large a page may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// So many rows at most.
    pub rows: usize,
    /// So many bytes before compression at most, unless it is a single frame.
    pub bytes: usize,
}

impl Default for PageSize {
    fn default() -> Self {
        Self { rows: PAGE_ROWS, bytes: PAGE_BYTES }
    }
}

/// A page in the making: stored frames of one bucket, in order.
#[derive(Debug, Default)]
pub struct PageBuilder {
    size: PageSize,
    payload: Vec<u8>,
    rows: u32,
    through: Cursor,
}

impl PageBuilder {
    /// An empty page that may become so large, where the usual size is not what is wanted.
    #[must_use]
    pub fn new(size: PageSize) -> Self {
        Self { size, ..Self::default() }
    }

    /// Whether a frame of this length still fits. The first one always does.
    #[must_use]
    pub fn fits(&self, frame_bytes: usize) -> bool {
        let (rows, bytes) = (self.rows as usize, self.payload.len());
        rows == 0 || (rows < self.size.rows && bytes + frame_bytes <= self.size.bytes)
    }

    /// Appends a stored frame.
    pub fn push(&mut self, version: i64, record: Uuid, frame: &[u8]) {
        self.payload.extend_from_slice(frame);
        self.rows += 1;
        self.through = Cursor { version, record: Some(record) };
    }

    /// Everything up to here was looked at: the page reaches there, also where no frame was pushed.
    pub fn reach(&mut self, through: Cursor) {
        self.through = through;
    }

    /// Whether no frame was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The last pushed row.
    #[must_use]
    pub fn through(&self) -> Cursor {
        self.through
    }

    /// The bytes pushed so far.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// Closes the page that began after `from` and was read at `build`.
    #[must_use]
    pub fn finish(self, bucket_id: i64, from: Cursor, build: Position) -> proto::Page {
        let payload_size = u32::try_from(self.payload.len()).expect("a page is smaller than 4 GiB");
        let (compression, payload) = compress(self.payload);
        proto::Page {
            bucket_id,
            from: Some(from.into()),
            through: Some(self.through.into()),
            rows: self.rows,
            compression: compression.into(),
            payload,
            payload_size,
            build: Some(build.into()),
        }
    }
}

thread_local! {
    // Half a megabyte of tables, which a context of its own for each page would ask the system for each time.
    static PACKER: RefCell<Option<zstd::bulk::Compressor<'static>>> = RefCell::new(zstd::bulk::Compressor::new(ZSTD_LEVEL).ok());
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = RefCell::new(zstd::bulk::Decompressor::new().ok());
}

fn compress(payload: Vec<u8>) -> (proto::Compression, Bytes) {
    if payload.len() >= COMPRESS_FROM_BYTES
        && let Some(Ok(packed)) =
            PACKER.with_borrow_mut(|packer| packer.as_mut().map(|packer| packer.compress(&payload)))
        && packed.len() < payload.len()
    {
        // Without the room that the worst case would have taken, which is three times as much: pages are kept.
        return (proto::Compression::Zstd, packed.into_boxed_slice().into());
    }
    (proto::Compression::Identity, payload.into())
}

/// Unpacks a page's rows, and refuses whatever is not as it says.
///
/// # Errors
/// See [`PageError`].
pub fn unpack(page: &proto::Page) -> Result<Vec<Row>, PageError> {
    let rows = decode_frames(unpack_payload(page)?)?;
    check_places(page, rows.iter().map(|row| Ok(Cursor { version: row.version, record: Some(row.record) })))?;
    Ok(rows)
}

/// Unpacks a page's payload, and refuses whatever [`unpack`] would: memory is bounded by [`PAYLOAD_BYTES`] before anything is
/// unpacked.
///
/// # Errors
/// See [`PageError`].
pub fn check(page: &proto::Page) -> Result<Bytes, PageError> {
    let payload = unpack_payload(page)?;
    check_places(page, frames(&payload).map(|frame| frame.map(|frame| frame.at())))?;
    Ok(payload)
}

fn unpack_payload(page: &proto::Page) -> Result<Bytes, PageError> {
    let size = page.payload_size as usize;
    if size > PAYLOAD_BYTES {
        return Err(PageError::TooLarge(size));
    }
    let payload = match proto::Compression::try_from(page.compression) {
        Ok(proto::Compression::Unspecified | proto::Compression::Identity) => page.payload.clone(),
        Ok(proto::Compression::Zstd) => {
            let unpack = |unpacker: &mut zstd::bulk::Decompressor<'_>| unpacker.decompress(&page.payload, size);
            let payload = UNPACKER.with_borrow_mut(|unpacker| unpacker.as_mut().map(unpack));
            payload.and_then(Result::ok).ok_or(PageError::Payload)?.into()
        }
        Err(_) => return Err(PageError::Payload),
    };
    if payload.len() == size { Ok(payload) } else { Err(PageError::Payload) }
}

/// Whether these are the places of the page's frames, as it says how many they are and where.
fn check_places(page: &proto::Page, places: impl Iterator<Item = Result<Cursor, PageError>>) -> Result<(), PageError> {
    let range = page.from.as_ref().zip(page.through.as_ref()).filter(|_| page.build.is_some());
    let (from, through) = range.ok_or(PageError::Range)?;
    let (mut last, through) = (Cursor::try_from(from)?, Cursor::try_from(through)?);
    let (mut found, mut ordered) = (0, true);
    for here in places {
        let here = here?;
        found += 1;
        ordered &= here > last;
        last = here;
    }
    if found != page.rows as usize {
        return Err(PageError::Rows { announced: page.rows as usize, found });
    }
    if ordered && last <= through { Ok(()) } else { Err(PageError::Order) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(documents: &[&[u8]]) -> proto::Page {
        let mut builder = PageBuilder::default();
        for (number, document) in (1_i64..).zip(documents) {
            let record = Uuid::from_u128(number.unsigned_abs().into());
            builder.push(number, record, &encode_frame(record, number, Some(document)));
        }
        builder.finish(1, Cursor::default(), Position { version: 9, nonce: 9 })
    }

    #[test]
    fn a_page_comes_back_as_it_was_packed() {
        let long = vec![7_u8; 5_000];
        let packed = page(&[b"first", &long]);
        assert_eq!(packed.compression(), proto::Compression::Zstd);
        let rows = unpack(&packed).expect("unpacks");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].document.as_deref(), Some(&long[..]));
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let mut bomb = page(&[b"x"]);
        bomb.payload = zstd::bulk::compress(&vec![0; 64 * 1024 * 1024], 1).expect("compresses").into();
        bomb.compression = proto::Compression::Zstd.into();
        bomb.payload_size = 64 * 1024 * 1024;
        assert_eq!(unpack(&bomb), Err(PageError::TooLarge(64 * 1024 * 1024)));
        bomb.payload_size = 1_000;
        assert_eq!(unpack(&bomb), Err(PageError::Payload));
    }

    #[test]
    fn what_is_not_as_announced_is_refused() {
        let mut fewer = page(&[b"a", b"b"]);
        fewer.rows = 3;
        assert_eq!(unpack(&fewer), Err(PageError::Rows { announced: 3, found: 2 }));
        let mut shifted = page(&[b"a", b"b"]);
        shifted.from = Some(Cursor { version: 1, record: Some(Uuid::from_u128(1)) }.into());
        assert_eq!(unpack(&shifted), Err(PageError::Order));
        let mut packed_otherwise = page(&[b"a"]);
        packed_otherwise.compression = 99;
        assert_eq!(unpack(&packed_otherwise), Err(PageError::Payload), "an unknown compression is not none");
        let mut unbuilt = page(&[b"a"]);
        unbuilt.build = None;
        assert_eq!(unpack(&unbuilt), Err(PageError::Range));
    }

    #[test]
    fn frames_are_read_as_the_generated_code_reads_them() {
        let record = Uuid::from_u128(5);
        let frame = |bytes: &[u8]| [&[0x0A, u8::try_from(bytes.len()).expect("is short")][..], bytes].concat();
        let id = [&[0x0A, 16][..], record.as_bytes()].concat();
        let with = |rest: &[u8]| frame(&[&id, rest].concat());
        let good = [
            with(&[0x10, 9, 0x1A, 2, b'o', b'k']),
            // In another order, with fields of a newer version, of all types, and the last of two counts.
            frame(&[&[0x1A, 0, 0x10, 8, 0x10, 9][..], &id].concat()),
            with(&[0x25, 1, 2, 3, 4, 0x29, 1, 2, 3, 4, 5, 6, 7, 8, 0x30, 7, 0x3A, 1, 0]),
            [&[0x10, 1][..], &with(&[]), &[0x1A, 0]].concat(),
        ];
        for payload in good {
            let theirs = proto::Frames::decode(&*payload).expect("is read").frames;
            let ours = decode_frames(payload.into()).expect("is read");
            let theirs = theirs.into_iter().map(|proto::Frame { record_id, version, document }| Row {
                record: Uuid::from_slice(&record_id).expect("is an id"),
                version,
                document,
            });
            assert_eq!(ours, theirs.collect::<Vec<_>>());
        }
        let bad = [with(&[0x12, 0]), with(&[0x18, 1]), with(&[0x1A, 9]), with(&[0x10]), vec![0x08, 1], vec![0x0A, 200]];
        for payload in bad {
            assert!(proto::Frames::decode(&*payload).is_err(), "{payload:?}");
            assert_eq!(decode_frames(payload.into()), Err(PageError::Payload));
        }
    }

    #[test]
    fn a_page_closes_at_its_limits() {
        let mut builder = PageBuilder::default();
        let document = vec![0_u8; PAGE_BYTES];
        let frame = encode_frame(Uuid::nil(), 1, Some(&document));
        assert!(builder.fits(frame.len()), "a single large document travels alone");
        builder.push(1, Uuid::nil(), &frame);
        assert!(!builder.fits(1));
    }
}
