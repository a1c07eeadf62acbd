//! Files of customers, contracts, chains, causes of claims and outlets.

use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{Chain, ClaimCause, Contact, Contract, Customer, GeoPoint, Outlet, OutletStatus};
use roundsman_sync::trade::check;
use uuid::Uuid;

use super::fields::Fields;
use super::table::Column;
use super::value;

/// The columns of a file of customers. `code` is the key.
pub const CUSTOMERS: &[Column] = &[
    Column { name: "code", help: "the customer's key in your system; required" },
    Column { name: "name", help: "the name to show; required" },
    Column { name: "legal_name", help: "the full name for documents" },
    Column { name: "tax_id", help: "the tax number" },
    Column { name: "legal_address", help: "the registered address" },
    Column { name: "phone", help: "the telephone number, with the country code" },
    Column { name: "email", help: "the e-mail address for documents" },
];

/// The columns of a file of contracts. `code` is the key.
pub const CONTRACTS: &[Column] = &[
    Column { name: "code", help: "the contract's key in your system; required" },
    Column { name: "number", help: "the number on paper; empty: its code" },
    Column { name: "customer", help: "the customer, as a reference; required, and never changed by an import" },
    Column { name: "currency", help: "the currency, such as EUR; required, and never changed by an import" },
    Column { name: "valid_from", help: "the first day, as YYYY-MM-DD; empty: no beginning" },
    Column { name: "valid_to", help: "the last day, as YYYY-MM-DD; empty: no end" },
    Column { name: "credit_limit", help: "what may be owed under it, such as 5000.00; 0: nothing; empty: no limit" },
    Column { name: "overdue_ban", help: "yes: orders are held while debt under it is overdue; no or empty" },
    Column { name: "agreements", help: "the agreements that it covers, as references separated by |; empty: all" },
    Column { name: "successor", help: "the contract that follows it, as a reference" },
    Column { name: "closed", help: "yes: no more orders are made under it; no or empty" },
];

/// The columns of a file of chains. `code` is the key.
pub const CHAINS: &[Column] = &[
    Column { name: "code", help: "the chain's key in your system; required" },
    Column { name: "name", help: "the name to show; required" },
    Column { name: "parent", help: "the chain that it is a branch of, as a reference; it stands before" },
    Column {
        name: "agreements",
        help: "the agreements of its outlets, as references separated by |; empty: the parent's",
    },
];

/// The columns of a file of causes of claims. `code` is the key.
pub const CAUSES: &[Column] = &[
    Column { name: "code", help: "the cause's key in your system; required" },
    Column { name: "name", help: "the name to show; required" },
    Column { name: "parent", help: "the group to which it belongs, as a reference; it stands before" },
    Column {
        name: "counts_as",
        help: "delivery_discrepancy, damaged, quality, expired, price, papers or other; empty: the parent's",
    },
    Column { name: "department", help: "who is to answer; empty: the parent's" },
    Column {
        name: "file_within_days",
        help: "days after the delivery in which a claim is in time; empty: the parent's",
    },
    Column { name: "decide_within_days", help: "working days until it is decided; empty: the parent's" },
    Column { name: "settle_within_days", help: "working days until it is settled; empty: the parent's" },
    Column { name: "withdrawn_from", help: "the day from which it is not chosen any more, as YYYY-MM-DD; empty: none" },
];

/// The columns of a file of outlets. `code` is the key.
pub const OUTLETS: &[Column] = &[
    Column { name: "code", help: "the outlet's key in your system; required" },
    Column { name: "name", help: "the name to show; required" },
    Column { name: "address", help: "the postal address" },
    Column { name: "latitude", help: "decimal degrees north, such as 60.1699; with longitude, or empty" },
    Column { name: "longitude", help: "decimal degrees east, such as 24.9384" },
    Column { name: "visit_radius_m", help: "how far from there a check-in still counts, in metres; empty: as usual" },
    Column { name: "class", help: "A, B, C, or empty" },
    Column { name: "status", help: "active or candidate; empty: active" },
    Column { name: "territory", help: "the territory, as a reference; required, and never changed by an import" },
    Column { name: "customer", help: "the customer, as a reference" },
    Column { name: "agreements", help: "the agreements, as references separated by |, the one to propose first" },
    Column { name: "chain", help: "the chain; without agreements it buys by those of the chain" },
    Column { name: "blocked", help: "yes: its orders are held; no or empty" },
    Column { name: "blocked_reason", help: "why it is blocked; only with blocked = yes" },
    Column { name: "contact_name", help: "a person to talk to" },
    Column { name: "contact_phone", help: "the person's telephone number; only with contact_name" },
    Column { name: "tax_id", help: "the tax number, while no customer is linked" },
    Column { name: "comment", help: "a note for whoever goes there" },
    Column { name: "labels", help: "labels by which promotions choose outlets, separated by |" },
];

fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// A row of customers.
pub fn customer(fields: &mut Fields<'_>) -> Record {
    Record::Customer(Customer {
        name: fields.required("name"),
        legal_name: fields.name("legal_name"),
        tax_id: fields.name("tax_id"),
        legal_address: fields.text("legal_address", check::TEXT_CHARS),
        phone: fields.name("phone"),
        email: fields.name("email"),
    })
}

/// A row of contracts, with sums in a currency with so many decimals.
pub fn contract(fields: &mut Fields<'_>, decimals: u32) -> Record {
    let number = fields.name("number");
    let (valid_from_day, valid_to_day) = fields.days();
    Record::Contract(Contract {
        number: if number.is_empty() { fields.name("code") } else { number },
        customer_id: bytes(fields.required_reference("customer", "customer")),
        currency: fields.required_value("currency", value::currency),
        valid_from_day,
        valid_to_day,
        credit_limit_minor: fields.optional("credit_limit", |text| value::money(text, decimals)),
        overdue_ban: fields.value("overdue_ban", value::yes),
        agreement_ids: fields.references("agreements", "agreement").into_iter().map(bytes).collect(),
        successor_id: check::bytes(fields.reference("successor", "contract")),
        closed: fields.value("closed", value::yes),
    })
}

/// A row of chains.
pub fn chain(fields: &mut Fields<'_>) -> Record {
    Record::Chain(Chain {
        name: fields.required("name"),
        parent_id: check::bytes(fields.reference("parent", "chain")),
        agreement_ids: fields.references("agreements", "agreement").into_iter().map(bytes).collect(),
    })
}

/// A row of causes of claims.
pub fn cause(fields: &mut Fields<'_>) -> Record {
    Record::ClaimCause(ClaimCause {
        name: fields.required("name"),
        parent_id: check::bytes(fields.reference("parent", "cause")),
        cause: fields.value("counts_as", value::cause).into(),
        department: fields.name("department"),
        file_within_days: fields.value("file_within_days", value::days),
        decide_within_days: fields.value("decide_within_days", value::days),
        settle_within_days: fields.value("settle_within_days", value::days),
        withdrawn_from_day: fields.value("withdrawn_from", value::day),
    })
}

/// A row of outlets; `id` is the outlet's.
pub fn outlet(fields: &mut Fields<'_>, id: Uuid) -> Record {
    let blocked = fields.value("blocked", value::yes);
    let blocked_reason = fields.text("blocked_reason", check::TEXT_CHARS);
    if !blocked && !blocked_reason.is_empty() {
        fields.wrong("blocked_reason", "is given, but the outlet is not blocked");
    }
    Record::Outlet(Outlet {
        name: fields.required("name"),
        address: fields.text("address", check::TEXT_CHARS),
        point: point(fields),
        visit_radius_m: fields.value("visit_radius_m", value::radius),
        outlet_class: fields.value("class", value::class).into(),
        status: fields.optional("status", value::status).unwrap_or(OutletStatus::Active).into(),
        territory_id: bytes(fields.required_reference("territory", "territory")),
        customer_id: check::bytes(fields.reference("customer", "customer")),
        agreement_ids: fields.references("agreements", "agreement").into_iter().map(bytes).collect(),
        blocked,
        blocked_reason,
        opening_hours: Vec::new(),
        contacts: contact(fields, id).into_iter().collect(),
        tax_id: fields.name("tax_id"),
        comment: fields.text("comment", check::TEXT_CHARS),
        labels: value::list(&fields.text("labels", check::TEXT_CHARS)),
        chain_id: check::bytes(fields.reference("chain", "chain")),
        inherited_agreement_ids: Vec::new(),
    })
}

fn point(fields: &mut Fields<'_>) -> Option<GeoPoint> {
    for (column, other) in [("latitude", "longitude"), ("longitude", "latitude")] {
        if fields.raw(column).is_empty() && !fields.raw(other).is_empty() {
            fields.wrong(column, format!("is empty, but there is a {other}"));
        }
    }
    let latitude = fields.optional("latitude", value::latitude);
    let longitude = fields.optional("longitude", value::longitude);
    latitude.zip(longitude).map(|(latitude_e7, longitude_e7)| GeoPoint {
        latitude_e7,
        longitude_e7,
        ..GeoPoint::default()
    })
}

fn contact(fields: &mut Fields<'_>, outlet: Uuid) -> Option<Contact> {
    let (name, phone) = (fields.name("contact_name"), fields.name("contact_phone"));
    if name.is_empty() {
        if !phone.is_empty() {
            fields.wrong("contact_name", "is empty, but there is a contact_phone");
        }
        return None;
    }
    let contact_id = bytes(Uuid::new_v5(&outlet, b"contact"));
    Some(Contact { contact_id, name, phone, ..Contact::default() })
}
