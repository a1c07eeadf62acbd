//! What was last heard of devices.

use uuid::Uuid;

use super::sql::{Cell, Column, Rows, Table};
use crate::contacts::Contact;

static TABLE: Table = Table {
    name: "device_contact",
    columns: &[
        ("tenant", Column::Int),
        ("device", Column::Id),
        ("seen_at", Column::Int),
        ("outbox_commands", Column::Int),
        ("outbox_oldest_at", Column::Int),
        ("clock_offset_us", Column::Int),
    ],
    conflict: "ON CONFLICT (tenant, device) DO UPDATE SET seen_at = excluded.seen_at, \
               outbox_commands = excluded.outbox_commands, outbox_oldest_at = excluded.outbox_oldest_at, \
               clock_offset_us = excluded.clock_offset_us",
};

/// The rows that store contacts.
#[must_use]
pub fn rows(contacts: &[((i64, Uuid), Contact)]) -> Rows {
    let rows = contacts
        .iter()
        .map(|((tenant, device), contact)| {
            vec![
                Cell::from(*tenant),
                (*device).into(),
                contact.seen_at_us.into(),
                i64::from(contact.outbox.commands).into(),
                contact.outbox.oldest_captured_at_us.into(),
                contact.offset_us().into(),
            ]
        })
        .collect();
    Rows { table: &TABLE, rows }
}
