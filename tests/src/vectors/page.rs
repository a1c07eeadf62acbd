//! Pages: how rows travel, and which pages must be refused.

use prost::Message as _;
use roundsman_proto::sync as proto;
use roundsman_proto::sync::Compression;
use roundsman_sync::limits::PAYLOAD_BYTES;
use roundsman_sync::page::{Cursor, PageBuilder, PageError, encode_frame, unpack};
use roundsman_sync::version::Position;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Case, Family, hex, id, id_hex, wide};

const ABOUT: &str = "A serialized roundsman.sync.v1.Page. Expected are its rows, with a document of null where the record \
                     left the bucket; or why it must be refused.";

pub(super) const BUILD: Position = Position { version: 90, nonce: 0x5f5f_0000_0000_0001 };

pub(super) fn family() -> Family {
    let mut cases = accepted();
    cases.extend(refused());
    Family { name: "page", about: ABOUT, cases }
}

/// A row: version, record, document.
pub(super) type Row<'a> = (i64, u128, Option<&'a [u8]>);

/// A page of these rows, as the server makes it.
pub(super) fn page(bucket_id: i64, from: Cursor, rows: &[Row<'_>]) -> proto::Page {
    let mut builder = PageBuilder::default();
    for (version, record, document) in rows {
        builder.push(*version, id(*record), &encode_frame(id(*record), *version, *document));
    }
    builder.finish(bucket_id, from, BUILD)
}

/// A page with an uncompressed payload that is whatever one likes.
fn raw(payload: Vec<u8>, rows: u32) -> proto::Page {
    let payload_size = u32::try_from(payload.len()).expect("a small payload");
    let through = Cursor { version: 9, record: Some(Uuid::max()) };
    proto::Page {
        rows,
        payload: payload.into(),
        payload_size,
        compression: Compression::Identity.into(),
        through: Some(through.into()),
        ..page(7, Cursor::default(), &[(1, 1, Some(b"one"))])
    }
}

fn accepted() -> Vec<Case> {
    let start = Cursor::default();
    let long = "the same words again, ".repeat(30);
    let one: [Row<'_>; 1] = [(1, 1, Some(b"one"))];
    let mut unsaid = page(7, start, &one);
    unsaid.compression = Compression::Unspecified.into();
    let mut with_more = encode_frame(id(1), 1, Some(b"one"));
    with_more.extend([0x20, 0x05]); // a field with the number 4, which a newer server may have
    with_more[1] += 2;
    vec![
        case("one row", &page(7, start, &one)),
        case("a payload that does not say how it is compressed is not compressed", &unsaid),
        case("an empty document is not a missing one", &page(7, start, &[(1, 1, Some(b"")), (1, 2, None)])),
        case("rows of one version are in the order of their records", &page(7, start, &[(4, 1, None), (4, 2, None)])),
        case("a record may come twice", &page(7, start, &[(4, 1, Some(b"old")), (5, 1, Some(b"new"))])),
        case("a compressed payload", &page(7, start, &[(1, 1, Some(long.as_bytes())), (2, 2, Some(long.as_bytes()))])),
        case("a range that begins after a row", &page(7, Cursor { version: 1, record: Some(id(1)) }, &[(1, 2, None)])),
        case("a range that goes on behind the last row", &raw(encode_frame(id(1), 1, Some(b"one")), 1)),
        case("no rows", &raw(Vec::new(), 0)),
        case("a field that is not known", &raw(with_more, 1)),
    ]
}

fn refused() -> Vec<Case> {
    let start = Cursor::default();
    let good = || page(7, start, &[(1, 1, Some(b"one")), (2, 2, Some(b"two"))]);
    let frame = |version, record| encode_frame(id(record), version, Some(b"x"));
    let short_id = proto::Frame { record_id: vec![1; 15], version: 1, document: None };
    let short_id = proto::Frames { frames: vec![short_id] }.encode_to_vec();
    let pack = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).expect("compresses").into();
    let zeros = vec![0; 4 * PAYLOAD_BYTES];
    let packed = |payload_size: usize| proto::Page {
        compression: Compression::Zstd.into(),
        payload: pack(&zeros),
        payload_size: u32::try_from(payload_size).expect("a small size"),
        ..good()
    };
    let over = u32::try_from(PAYLOAD_BYTES + 1).expect("a small size");
    let backwards = [frame(2, 1), frame(1, 2)].concat();
    let by_record = [frame(1, 2), frame(1, 1)].concat();
    let early = Cursor { version: 1, record: Some(id(9)) };
    vec![
        case("more rows are announced", &proto::Page { rows: 3, ..good() }),
        case("fewer rows are announced", &proto::Page { rows: 1, ..good() }),
        case("another size is announced", &proto::Page { payload_size: 1, ..good() }),
        case("the size is over the limit", &proto::Page { payload_size: over, ..good() }),
        case("a compressed payload says that it is large", &packed(zeros.len())),
        case("a compressed payload is larger than it says", &packed(1_000)),
        case("a compressed payload is smaller than it says", &proto::Page { payload: pack(b"x"), ..packed(1_000) }),
        case("a compressed payload is none", &proto::Page { compression: Compression::Zstd.into(), ..good() }),
        case("an unknown compression", &proto::Page { compression: 9, ..good() }),
        case("a payload that is no message", &raw(vec![0xff; 20], 1)),
        case("an id of 15 bytes", &raw(short_id, 1)),
        case("a range without a beginning", &proto::Page { from: None, ..good() }),
        case("a range without an end", &proto::Page { through: None, ..good() }),
        case("no build", &proto::Page { build: None, ..good() }),
        case("versions that go back", &raw(backwards, 2)),
        case("records of one version that go back", &raw(by_record, 2)),
        case("a row that comes twice", &raw([frame(1, 1), frame(1, 1)].concat(), 2)),
        case("a row before the range", &proto::Page { from: Some(Cursor::after(1).into()), ..good() }),
        case("a row behind the range", &proto::Page { through: Some(early.into()), ..good() }),
    ]
}

fn case(name: &str, page: &proto::Page) -> Case {
    let expected = match unpack(page) {
        Ok(rows) => json!({ "rows": rows.iter().map(|row| json!({
            "record_id": id_hex(row.record),
            "version": wide(row.version),
            "document": row.document.as_ref().map_or(Value::Null, hex),
        })).collect::<Vec<_>>() }),
        Err(error) => json!({ "refused": reason(&error) }),
    };
    Case::new(name, json!({ "page": hex(page.encode_to_vec()) }), expected)
}

/// What the vectors call a fault of a page.
pub(super) fn reason(error: &PageError) -> &'static str {
    match error {
        PageError::TooLarge(_) => "page_too_large",
        PageError::Payload => "page_payload",
        PageError::Rows { .. } => "page_rows",
        PageError::Id => "page_id",
        PageError::Range => "page_range",
        PageError::Order => "page_order",
    }
}
