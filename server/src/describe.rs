//! What is stored as bytes, in words: by the descriptors of the protocol.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};
use roundsman_sync::kind::Kind;
use uuid::Uuid;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(roundsman_proto::FILE_DESCRIPTOR_SET).expect("the build made it"));

fn message(name: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(&format!("roundsman.trade.v1.{name}"))
}

/// The name of a command, such as `SubmitOrder`, by the number of its field in `roundsman.trade.v1.Command`; one that this
/// server does not know is named by the number.
#[must_use]
pub fn command_name(number: u32) -> String {
    let field = message("Command").and_then(|command| command.get_field(number));
    let command = field.and_then(|field| field.kind().as_message().cloned());
    command.map_or_else(|| number.to_string(), |command| command.name().to_owned())
}

/// A record as JSON: the form of Protocol Buffers, but with ids as UUIDs in their usual form, by which one goes on asking.
/// Fields that this server does not know are left out.
///
/// # Errors
/// When the document is none of its kind.
pub fn record_json(kind: Kind, document: &[u8]) -> Result<String, prost::DecodeError> {
    // Kinds are named as their messages are.
    let message = message(&format!("{kind:?}")).expect("every kind has a message");
    let record = DynamicMessage::decode(message, document)?;
    let mut json = serde_json::to_value(&record).expect("messages are plain data");
    name_ids(&record, &mut json);
    Ok(json.to_string())
}

/// Writes ids as UUIDs where they stand in Base64.
fn name_ids(message: &DynamicMessage, json: &mut serde_json::Value) {
    for (field, value) in message.fields() {
        match (value, &mut json[field.json_name()]) {
            (Value::List(values), serde_json::Value::Array(items)) => {
                values.iter().zip(items).for_each(|(value, item)| name_id(value, item));
            }
            (value, item) => name_id(value, item),
        }
    }
}

fn name_id(value: &Value, json: &mut serde_json::Value) {
    if let Some(message) = value.as_message() {
        name_ids(message, json);
    } else if let Some(id) = value.as_bytes().and_then(|bytes| Uuid::from_slice(bytes).ok()) {
        *json = id.to_string().into();
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use roundsman_proto::trade::{Order, OrderLine, Team};
    use roundsman_sync::kind::KINDS;

    use super::*;

    #[test]
    fn records_and_commands_have_names() {
        for kind in KINDS {
            assert_eq!(record_json(*kind, &[]).expect("an empty one"), "{}");
        }
        let team = Team { name: "north".to_owned(), ..Team::default() };
        assert_eq!(record_json(Kind::Team, &team.encode_to_vec()).expect("a team"), r#"{"name":"north"}"#);
        assert!(record_json(Kind::Team, b"\xff").is_err());
        let id = Uuid::from_u128(7);
        let bytes = || id.as_bytes().to_vec();
        let line = OrderLine { line_id: bytes(), ordered_milli: 5, ..OrderLine::default() };
        let order = Order { outlet_id: bytes(), lines: vec![line], ..Order::default() };
        let json = record_json(Kind::Order, &order.encode_to_vec()).expect("an order");
        let json: serde_json::Value = serde_json::from_str(&json).expect("is JSON");
        let line = serde_json::json!({ "lineId": id.to_string(), "orderedMilli": "5" });
        assert_eq!(json, serde_json::json!({ "outletId": id.to_string(), "lines": [line] }));
        assert_eq!((command_name(3).as_str(), command_name(0).as_str()), ("SubmitOrder", "0"));
        assert_eq!(command_name(2_001), "2001");
    }
}
