//! Messages as they are on the wire. What was once written to the file stays there: it is what an app in the field sends and
//! keeps, and what comes to it. `make vectors` only adds messages, for fields that none of the others has.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use prost::{DecodeError, Message};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value,
};
use serde_json::json;

use super::{Case, Family, hex, id};

const NAME: &str = "wire";
const ABOUT: &str = "A serialized message by its full name. Expected is what it says, in the JSON form of Protocol Buffers; \
                     serialized again it has the same bytes. Cases are never changed or taken away, only added.";
/// More kinds of values are not tried for a message. Of the fields of a `oneof` each gets its turn.
const VARIANTS: usize = 500;

type Again = fn(&[u8]) -> Result<Vec<u8>, DecodeError>;

/// Reads a message with its generated type, and writes it again.
fn again<M: Message + Default>(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    Ok(M::decode(bytes)?.encode_to_vec())
}

macro_rules! messages {
    ($($package:ident { $($message:ident),* $(,)? })*) => {
        const MESSAGES: &[(&str, Again)] = &[$($((
            concat!("roundsman.", stringify!($package), ".v1.", stringify!($message)),
            again::<roundsman_proto::$package::$message>,
        ),)*)*];
    };
}
messages! {
    auth { LoginRequest, LoginResponse, RefreshRequest, RefreshResponse, LogoutRequest }
    sync { PullRequest, PullResponse, PushRequest, PushResponse, Frames }
    trade {
        Command, Customer, Outlet, Agreement, Product, PriceList, Price, Warehouse, Stock, Rep, Team, Territory, Assignment,
        Route, Visit, Order, Payment, Receivable, Shipment, Reclamation, Survey, SurveyResponse, Task,
    Promotion, ChangeRequest, CashHandIn, Chain, StockQuota, MustSellList, Contract, ClaimCause, Wave, Vehicle, Trip,
    GoodsReturn, StockTransfer, StockCount,
    }
}

pub(super) fn family() -> Family {
    let mut cases = kept();
    let mut covered: BTreeSet<Place> = cases.iter().filter_map(|case| read(case).ok()).flat_map(places).collect();
    for (name, again) in MESSAGES {
        let message = descriptor(name).expect("the message is one of ours");
        let mut number = cases.iter().filter(|case| case.input["message"] == *name).count();
        for variant in 0..VARIANTS {
            let example = filled(&message, variant);
            let places = places(example.clone());
            if number > 0 && places.is_subset(&covered) {
                continue;
            }
            covered.extend(places);
            number += 1;
            let bytes = again(&example.encode_to_vec()).expect("both read the same descriptors");
            let input = json!({ "message": name, "bytes": hex(bytes) });
            cases.push(Case::new(format!("{name} {number}"), input, said(&example)));
        }
    }
    Family { name: NAME, about: ABOUT, cases }
}

/// The messages of the file.
#[must_use]
pub fn kept() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(NAME).with_extension("json");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let file = serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
    serde_json::from_value(file["cases"].clone()).unwrap_or_default()
}

/// Whether a kept message still says what it said, and is still written as it was.
///
/// # Errors
/// In words, when it does not, or is not.
pub fn check(case: &Case) -> Result<(), String> {
    let message = read(case)?;
    let now = said(&message);
    if now != case.expected {
        return Err(format!("says something else now: {now:#}"));
    }
    let (bytes, name) = (bytes(case)?, message.descriptor().full_name().to_owned());
    let (_, again) = MESSAGES.iter().find(|(known, _)| *known == name).ok_or("is not among the messages any more")?;
    let again = again(&bytes).map_err(|error| format!("its generated type can't read it: {error}"))?;
    if again != bytes {
        return Err(format!("is written as {} now", ::hex::encode(again)));
    }
    Ok(())
}

/// The full names of the messages that are kept.
pub fn names() -> impl Iterator<Item = &'static str> {
    MESSAGES.iter().map(|(name, _)| *name)
}

fn descriptor(name: &str) -> Option<MessageDescriptor> {
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(roundsman_proto::FILE_DESCRIPTOR_SET).expect("the build made it"));
    POOL.get_message_by_name(name)
}

fn bytes(case: &Case) -> Result<Vec<u8>, String> {
    ::hex::decode(case.input["bytes"].as_str().unwrap_or_default()).map_err(|error| error.to_string())
}

fn read(case: &Case) -> Result<DynamicMessage, String> {
    let name = case.input["message"].as_str().unwrap_or_default();
    let message = descriptor(name).ok_or("there is no such message any more")?;
    DynamicMessage::decode(message, bytes(case)?.as_slice()).map_err(|error| format!("can't be read: {error}"))
}

/// A message in the JSON form of Protocol Buffers.
fn said(message: &DynamicMessage) -> serde_json::Value {
    serde_json::to_value(message).expect("messages are plain data")
}

/// A field of a message: the message's full name, and the field's number.
type Place = (String, u32);

/// The fields that are set in a message and in what it contains.
fn places(message: DynamicMessage) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    let mut messages = vec![message];
    while let Some(message) = messages.pop() {
        for (field, value) in message.fields() {
            places.insert((field.parent_message().full_name().to_owned(), field.number()));
            let values = value.as_list().unwrap_or(std::slice::from_ref(value));
            messages.extend(values.iter().filter_map(Value::as_message).cloned());
        }
    }
    places
}

/// A message with a value in each field, and of each `oneof` in one, which another variant has in another.
fn filled(message: &MessageDescriptor, variant: usize) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in message.fields() {
        let is_its_turn = field.containing_oneof().is_none_or(|oneof| {
            let fields: Vec<_> = oneof.fields().collect();
            fields[variant % fields.len()] == field
        });
        if !is_its_turn {
            continue;
        }
        if field.is_list() {
            let values = (0..elements(&field)).map(|element| value(&field, variant + element)).collect();
            filled.set_field(&field, Value::List(values));
        } else {
            filled.set_field(&field, value(&field, variant));
        }
    }
    filled
}

/// How many elements a list gets: as many as show every field of their `oneof`.
fn elements(field: &FieldDescriptor) -> usize {
    let kind = field.kind();
    let oneofs = kind.as_message().into_iter().flat_map(MessageDescriptor::oneofs);
    oneofs.map(|oneof| oneof.fields().len()).max().unwrap_or(0).max(2)
}

/// A value that another field, and another variant, does not have.
fn value(field: &FieldDescriptor, variant: usize) -> Value {
    let number = u64::from(field.number()) * 1_000 + variant as u64;
    let wide = number << 32 | 0x8000_0001;
    let negative = variant % 2 == 1;
    let signed = |number: u64| if negative { -number.cast_signed() } else { number.cast_signed() };
    let narrow = i32::try_from(signed(number)).expect("fields have small numbers");
    match field.kind() {
        Kind::Double => Value::F64(f64::from(narrow) + 0.5),
        Kind::Float => Value::F32(0.5),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(narrow),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(signed(wide)),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(narrow.unsigned_abs() | 0x8000_0000),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(wide | 1 << 63),
        Kind::Bool => Value::Bool(true),
        Kind::String => Value::String(format!("{} – {variant}", field.name())),
        Kind::Bytes => Value::Bytes(id(number.into()).as_bytes().to_vec().into()),
        Kind::Message(message) => Value::Message(filled(&message, variant)),
        Kind::Enum(kind) => {
            let values: Vec<i32> = kind.values().map(|value| value.number()).filter(|number| *number != 0).collect();
            Value::EnumNumber(values[(field.number() as usize + variant) % values.len()])
        }
    }
}
