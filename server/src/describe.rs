//! What is stored as bytes, in words: by the descriptors of the protocol.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use roundsman_sync::kind::Kind;

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

/// A record in the JSON form of Protocol Buffers. Fields that this server does not know are left out.
///
/// # Errors
/// When the document is none of its kind.
pub fn record_json(kind: Kind, document: &[u8]) -> Result<String, prost::DecodeError> {
    // Kinds are named as their messages are.
    let message = message(&format!("{kind:?}")).expect("every kind has a message");
    let record = DynamicMessage::decode(message, document)?;
    Ok(serde_json::to_string(&record).expect("messages are plain data"))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use roundsman_proto::trade::Team;
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
        assert_eq!((command_name(3).as_str(), command_name(0).as_str()), ("SubmitOrder", "0"));
        assert_eq!(command_name(2_001), "2001");
    }
}
