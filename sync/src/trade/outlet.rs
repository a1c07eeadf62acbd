//! Outlets: registering, editing, blocking, archiving, and which outlet a late command is about.
//!
//! Whose value stands where both sides changed the same field: the rep's for `point`, `contacts`, `opening_hours` and
//! `comment`, since whoever stands there knows best; the office's for all else, which reps may not edit at all.

use std::collections::BTreeMap;

use roundsman_proto::trade::contact_edit::Edit;
use roundsman_proto::trade::{
    Agreement, ArchiveOutlet, BlockOutlet, Contact, ContactChange, EditOutlet, GeoPoint, OpeningHours, Outlet,
    OutletClass, OutletStatus, Reason, RegisterOutlet, StringChange,
};
use uuid::Uuid;

use super::capture::Editor;
use super::check;
use super::edit::{Edits, Place, Policy, show_id};
use super::rejection::Rejection;
use super::verdict::Verdict;

/// The largest radius of a check-in, in metres.
const RADIUS_M: i32 = 100_000;

/// What is to be stored of an outlet.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The outlet.
    pub outlet: Outlet,
    /// The outcome.
    pub verdict: Verdict,
}

/// The outlet that a command is about (C13, C26): the one that it names, or the one that remained when that was archived
/// as a duplicate. `survivor` is the last of the chain.
///
/// # Errors
/// `REASON_OUTLET_ARCHIVED` when none remained.
pub fn follow(outlet: Uuid, removed: bool, survivor: Option<Uuid>) -> Result<Uuid, Rejection> {
    match (removed, survivor) {
        (false, _) => Ok(outlet),
        (true, Some(survivor)) => Ok(survivor),
        (true, None) => Err(Rejection::new(Reason::OutletArchived).about(outlet)),
    }
}

/// A new outlet (C14): a candidate if a rep reports it, active if the office does. `current` is the outlet of this id, if
/// there is one; `agreements` those that the command names. That a rep reports it into a territory of his own is the
/// rule of [`super::assignment`], for an outlet that was always there.
///
/// # Errors
/// For its form; `REASON_NOT_FOUND`, `REASON_MISMATCH`, `REASON_ID_TAKEN`.
pub fn decide_register(
    current: Option<&Outlet>,
    editor: Editor,
    agreements: &BTreeMap<Uuid, &Agreement>,
    command: &RegisterOutlet,
) -> Result<Decision, Rejection> {
    register_form(command)?;
    for (index, id) in command.agreement_ids.iter().enumerate() {
        usable(id, editor, agreements).map_err(check::at("agreement_ids", index))?;
    }
    let status = match editor {
        Editor::Rep(_) => OutletStatus::Candidate,
        Editor::Office => OutletStatus::Active,
    };
    let outlet = Outlet {
        name: command.name.clone(),
        address: command.address.clone(),
        point: command.point,
        outlet_class: command.outlet_class,
        status: status.into(),
        territory_id: command.territory_id.clone(),
        agreement_ids: command.agreement_ids.clone(),
        opening_hours: command.opening_hours.clone(),
        contacts: command.contacts.clone(),
        tax_id: command.tax_id.clone(),
        comment: command.comment.clone(),
        ..Outlet::default()
    };
    match current {
        None => Ok(Decision { outlet, verdict: Verdict::done() }),
        Some(current) if *current == outlet => Ok(Decision { outlet, verdict: Verdict::nothing_to_do() }),
        Some(_) => Err(Rejection::new(Reason::IdTaken).field("outlet_id")),
    }
}

fn usable(id: &[u8], editor: Editor, agreements: &BTreeMap<Uuid, &Agreement>) -> Result<(), Rejection> {
    let id = check::id(id, "agreement_ids")?;
    let agreement = agreements.get(&id);
    match editor {
        // What is a customer's own is none of the rep's business, not even whether it is there.
        Editor::Rep(_) if agreement.is_none_or(|agreement| !agreement.customer_id.is_empty()) => {
            Err(check::mismatch("agreement_ids"))
        }
        Editor::Office if agreement.is_none() => Err(Rejection::new(Reason::NotFound).field("agreement_ids")),
        Editor::Rep(_) | Editor::Office => Ok(()),
    }
}

fn register_form(command: &RegisterOutlet) -> Result<(), Rejection> {
    check::id(&command.outlet_id, "outlet_id")?;
    check::id(&command.territory_id, "territory_id")?;
    check::required_text(&command.name, check::NAME_CHARS, "name")?;
    check::text(&command.address, check::TEXT_CHARS, "address")?;
    check::point(command.point.as_ref(), "point")?;
    check::optional_choice::<OutletClass>(command.outlet_class, "outlet_class")?;
    check::text(&command.tax_id, check::NAME_CHARS, "tax_id")?;
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    hours_form(&command.opening_hours)?;
    check::count(command.contacts.len(), check::ENTRIES, "contacts")?;
    let mut ids = Vec::with_capacity(command.contacts.len());
    for (index, contact) in command.contacts.iter().enumerate() {
        ids.push(contact_form(contact).map_err(check::at("contacts", index))?);
    }
    check::unique(ids, "contact_id")?;
    agreements_form(&command.agreement_ids)
}

fn agreements_form(agreement_ids: &[Vec<u8>]) -> Result<(), Rejection> {
    check::count(agreement_ids.len(), check::ENTRIES, "agreement_ids")?;
    let ids: Result<Vec<Uuid>, _> = agreement_ids.iter().map(|id| check::id(id, "agreement_ids")).collect();
    check::unique(ids?, "agreement_ids")
}

fn contact_form(contact: &Contact) -> Result<Uuid, Rejection> {
    for (value, field) in
        [(&contact.name, "name"), (&contact.position, "position"), (&contact.phone, "phone"), (&contact.email, "email")]
    {
        check::text(value, check::NAME_CHARS, field)?;
    }
    check::id(&contact.contact_id, "contact_id")
}

fn hours_form(hours: &[OpeningHours]) -> Result<(), Rejection> {
    check::count(hours.len(), check::ENTRIES, "opening_hours")?;
    for (index, stretch) in hours.iter().enumerate() {
        let ranges = check::range(stretch.weekdays, 1..=127, "weekdays")
            .and(check::range(stretch.from_s, 0..=check::DAY_S - 1, "from_s"))
            .and(check::range(stretch.to_s, stretch.from_s.saturating_add(1)..=2 * check::DAY_S, "to_s"));
        ranges.map_err(check::at("opening_hours", index))?;
    }
    Ok(())
}

/// The form of an edit.
///
/// # Errors
/// For its form; `REASON_ROLE_NOT_ALLOWED` for a rep's edit of a field that is not a rep's.
pub fn edit_form(editor: Editor, command: &EditOutlet) -> Result<(), Rejection> {
    check::id(&command.outlet_id, "outlet_id")?;
    match editor {
        Editor::Rep(_) => reps_fields(command)?,
        Editor::Office => {}
    }
    if let Some(name) = &command.name {
        check::required_text(&name.value, check::NAME_CHARS, "name")?;
    }
    for (change, limit, field) in [
        (&command.address, check::TEXT_CHARS, "address"),
        (&command.tax_id, check::NAME_CHARS, "tax_id"),
        (&command.comment, check::TEXT_CHARS, "comment"),
    ] {
        change.as_ref().map_or(Ok(()), |change| check::text(&change.value, limit, field))?;
    }
    if let Some(change) = &command.point {
        check::point(change.value.as_ref(), "point")?;
    }
    if let Some(change) = command.visit_radius_m {
        check::range(change.value, 0..=RADIUS_M, "visit_radius_m")?;
    }
    if let Some(change) = command.outlet_class {
        check::optional_choice::<OutletClass>(change.value, "outlet_class")?;
    }
    if let Some(change) = command.status {
        check::choice::<OutletStatus>(change.value, "status")?;
    }
    if let Some(change) = &command.customer_id {
        check::optional_id(&change.value, "customer_id")?;
    }
    if let Some(change) = &command.opening_hours {
        hours_form(&change.value)?;
    }
    agreements_form(&command.add_agreement_ids)?;
    agreements_form(&command.remove_agreement_ids)?;
    check::count(command.contacts.len(), check::ENTRIES, "contacts")?;
    let mut ids = Vec::with_capacity(command.contacts.len());
    for (index, contact) in command.contacts.iter().enumerate() {
        ids.push(contact_edit_form(contact.edit.as_ref()).map_err(check::at("contacts", index))?);
    }
    check::unique(ids, "contact_id")
}

/// A rep edits the point, contacts, opening hours and the note only.
fn reps_fields(command: &EditOutlet) -> Result<(), Rejection> {
    let others = [
        (command.name.is_some(), "name"),
        (command.address.is_some(), "address"),
        (command.visit_radius_m.is_some(), "visit_radius_m"),
        (command.outlet_class.is_some(), "outlet_class"),
        (command.status.is_some(), "status"),
        (command.customer_id.is_some(), "customer_id"),
        (command.tax_id.is_some(), "tax_id"),
        (!command.add_agreement_ids.is_empty(), "add_agreement_ids"),
        (!command.remove_agreement_ids.is_empty(), "remove_agreement_ids"),
    ];
    match others.into_iter().find(|(edited, _)| *edited) {
        Some((_, field)) => Err(Rejection::new(Reason::RoleNotAllowed).field(field)),
        None => Ok(()),
    }
}

fn contact_edit_form(edit: Option<&Edit>) -> Result<Uuid, Rejection> {
    match edit {
        None => Err(check::missing("edit")),
        Some(Edit::Add(contact)) => contact_form(contact),
        Some(Edit::RemoveContactId(id)) => check::id(id, "contact_id"),
        Some(Edit::Change(change)) => {
            for (change, field) in contact_changes(change) {
                if let Some(change) = change {
                    check::text(&change.value, check::NAME_CHARS, field)?;
                }
            }
            check::id(&change.contact_id, "contact_id")
        }
    }
}

fn contact_changes(change: &ContactChange) -> [(Option<&StringChange>, &'static str); 4] {
    [
        (change.name.as_ref(), "name"),
        (change.position.as_ref(), "position"),
        (change.phone.as_ref(), "phone"),
        (change.email.as_ref(), "email"),
    ]
}

/// The office or a rep edits an outlet, field by field (C3). `agreements` are those that the command adds.
///
/// # Errors
/// For its form; `REASON_ROLE_NOT_ALLOWED`, `REASON_NOT_FOUND`, `REASON_LIMIT_EXCEEDED`.
pub fn decide_edit(
    outlet_id: Uuid,
    current: &Outlet,
    editor: Editor,
    agreements: &BTreeMap<Uuid, &Agreement>,
    command: &EditOutlet,
) -> Result<Decision, Rejection> {
    edit_form(editor, command)?;
    for id in &command.add_agreement_ids {
        usable(id, editor, agreements)?;
    }
    let mut edits = Edits::new(outlet_id, editor);
    let mut outlet = current.clone();
    edit_texts(&mut outlet, command, &mut edits);
    edit_values(&mut outlet, command, &mut edits);
    for edit in command.contacts.iter().filter_map(|contact| contact.edit.as_ref()) {
        edit_contact(&mut outlet.contacts, edit, &mut edits);
    }
    outlet.agreement_ids.retain(|id| !command.remove_agreement_ids.contains(id));
    for id in &command.add_agreement_ids {
        if !outlet.agreement_ids.contains(id) {
            outlet.agreement_ids.push(id.clone());
        }
    }
    check::count(outlet.agreement_ids.len(), check::ENTRIES, "agreement_ids")?;
    check::count(outlet.contacts.len(), check::ENTRIES, "contacts")?;
    let verdict = if outlet == *current { Verdict::nothing_to_do() } else { Verdict::done() };
    Ok(Decision { outlet, verdict: verdict.merged(edits.overrides, edits.stale) })
}

fn edit_texts(outlet: &mut Outlet, command: &EditOutlet, edits: &mut Edits) {
    let texts = [
        (&command.name, &mut outlet.name, Policy::OfficeWins, "name"),
        (&command.address, &mut outlet.address, Policy::OfficeWins, "address"),
        (&command.tax_id, &mut outlet.tax_id, Policy::OfficeWins, "tax_id"),
        (&command.comment, &mut outlet.comment, Policy::DeviceWins, "comment"),
    ];
    for (change, current, policy, field) in texts {
        if let Some(change) = change {
            let place = Place { line_id: &[], field };
            *current = edits.settle(place, policy, (&change.base, &change.value), current, String::clone);
        }
    }
}

fn edit_values(outlet: &mut Outlet, command: &EditOutlet, edits: &mut Edits) {
    let place = |field| Place { line_id: &[], field };
    let numbers = [
        (command.visit_radius_m, &mut outlet.visit_radius_m, "visit_radius_m"),
        (command.outlet_class, &mut outlet.outlet_class, "outlet_class"),
        (command.status, &mut outlet.status, "status"),
    ];
    for (change, current, field) in numbers {
        if let Some(change) = change {
            let edit = (&change.base, &change.value);
            *current = edits.settle(place(field), Policy::OfficeWins, edit, current, i32::to_string);
        }
    }
    if let Some(change) = &command.customer_id {
        let (edit, current) = ((&change.base, &change.value), &outlet.customer_id);
        outlet.customer_id = edits.settle(place("customer_id"), Policy::OfficeWins, edit, current, |id| show_id(id));
    }
    if let Some(change) = &command.point {
        let edit = (&change.base, &change.value);
        outlet.point = edits.settle(place("point"), Policy::DeviceWins, edit, &outlet.point, show_point);
    }
    if let Some(change) = &command.opening_hours {
        let (edit, current) = ((&change.base, &change.value), &outlet.opening_hours);
        let show = |hours: &Vec<OpeningHours>| show_hours(hours);
        outlet.opening_hours = edits.settle(place("opening_hours"), Policy::DeviceWins, edit, current, show);
    }
}

fn edit_contact(contacts: &mut Vec<Contact>, edit: &Edit, edits: &mut Edits) {
    match edit {
        Edit::Add(new) => {
            if contacts.iter().any(|contact| contact.contact_id == new.contact_id) {
                edits.stale = true;
            } else {
                contacts.push(new.clone());
            }
        }
        Edit::RemoveContactId(id) => contacts.retain(|contact| contact.contact_id != *id),
        Edit::Change(change) => {
            let Some(contact) = contacts.iter_mut().find(|contact| contact.contact_id == change.contact_id) else {
                for (change_of, field) in contact_changes(change) {
                    if let Some(lost) = change_of {
                        let place = Place { line_id: &change.contact_id, field };
                        edits.met(place, Reason::LineRemoved, String::new(), lost.value.clone());
                    }
                }
                return;
            };
            let fields = [&mut contact.name, &mut contact.position, &mut contact.phone, &mut contact.email];
            for ((change_of, field), current) in contact_changes(change).into_iter().zip(fields) {
                if let Some(text) = change_of {
                    let place = Place { line_id: &change.contact_id, field };
                    let edit = (&text.base, &text.value);
                    *current = edits.settle(place, Policy::DeviceWins, edit, current, String::clone);
                }
            }
        }
    }
}

/// Degrees × 10^7, north and east.
fn show_point(point: &Option<GeoPoint>) -> String {
    point.map_or_else(String::new, |point| format!("{} {}", point.latitude_e7, point.longitude_e7))
}

/// Weekdays as bits, and seconds since 00:00.
fn show_hours(hours: &[OpeningHours]) -> String {
    let show = |hours: &OpeningHours| format!("{}: {}-{}", hours.weekdays, hours.from_s, hours.to_s);
    hours.iter().map(show).collect::<Vec<_>>().join("; ")
}

/// The office blocks or unblocks an outlet. `None`: it is so already.
///
/// # Errors
/// For its form.
pub fn decide_block(current: &Outlet, command: &BlockOutlet) -> Result<Option<Outlet>, Rejection> {
    let blocked_reason = if command.blocked {
        check::required_text(&command.reason, check::TEXT_CHARS, "reason")?;
        command.reason.clone()
    } else {
        String::new()
    };
    let outlet = Outlet { blocked: command.blocked, blocked_reason, ..current.clone() };
    Ok((outlet != *current).then_some(outlet))
}

/// What is known of an outlet that is to remain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// It is removed itself, or unknown.
    pub removed: bool,
    /// It was merged into the outlet that goes.
    pub came_from_it: bool,
}

/// The office takes an outlet out; returns the survivor. `survivor` is what is known of the one that the command names;
/// `open_order`: an order of the outlet is neither closed, cancelled nor refused.
///
/// # Errors
/// For its form; `REASON_BAD_SURVIVOR`, `REASON_WRONG_STATE`.
pub fn decide_archive(
    command: &ArchiveOutlet,
    survivor: Option<Survivor>,
    open_order: bool,
) -> Result<Option<Uuid>, Rejection> {
    let outlet = check::id(&command.outlet_id, "outlet_id")?;
    let Some(id) = check::optional_id(&command.survivor_id, "survivor_id")? else {
        return if open_order {
            Err(Rejection::new(Reason::WrongState).fact(Some(outlet), "orders", "open"))
        } else {
            Ok(None)
        };
    };
    let fit = id != outlet && survivor.is_some_and(|survivor| !survivor.removed && !survivor.came_from_it);
    if fit { Ok(Some(id)) } else { Err(Rejection::new(Reason::BadSurvivor).field("survivor_id")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roundsman_proto::sync::Status;
    use roundsman_proto::trade::{ContactEdit, GeoPointChange, Int32Change, OpeningHoursChange};

    const OUTLET: Uuid = Uuid::from_u128(1);
    const STANDARD: Uuid = Uuid::from_u128(2);
    const OWN: Uuid = Uuid::from_u128(3);
    const REP: Editor = Editor::Rep(Uuid::from_u128(4));

    fn bytes(id: Uuid) -> Vec<u8> {
        id.as_bytes().to_vec()
    }

    fn with_agreements<T>(run: impl FnOnce(&BTreeMap<Uuid, &Agreement>) -> T) -> T {
        let own = Agreement { customer_id: vec![9; 16], ..Agreement::default() };
        run(&[(STANDARD, &Agreement::default()), (OWN, &own)].into())
    }

    fn registration() -> RegisterOutlet {
        RegisterOutlet {
            outlet_id: bytes(OUTLET),
            territory_id: vec![8; 16],
            name: "Corner shop".to_owned(),
            ..RegisterOutlet::default()
        }
    }

    fn register(current: Option<&Outlet>, editor: Editor, command: &RegisterOutlet) -> Result<Decision, Rejection> {
        with_agreements(|agreements| decide_register(current, editor, agreements, command))
    }

    fn edit(current: &Outlet, editor: Editor, command: &EditOutlet) -> Result<Decision, Rejection> {
        with_agreements(|agreements| decide_edit(OUTLET, current, editor, agreements, command))
    }

    fn blank() -> EditOutlet {
        EditOutlet { outlet_id: bytes(OUTLET), ..EditOutlet::default() }
    }

    fn text(base: &str, value: &str) -> Option<StringChange> {
        Some(StringChange { base: base.to_owned(), value: value.to_owned() })
    }

    #[test]
    fn c14_a_rep_reports_a_candidate_with_standard_terms() {
        let new = register(None, REP, &RegisterOutlet { agreement_ids: vec![bytes(STANDARD)], ..registration() });
        let new = new.expect("registered");
        assert_eq!((new.outlet.status(), new.verdict), (OutletStatus::Candidate, Verdict::done()));
        let own = RegisterOutlet { agreement_ids: vec![bytes(OWN)], ..registration() };
        assert_eq!(register(None, REP, &own).expect_err("not standard").reason, Reason::Mismatch);
        let office = register(None, Editor::Office, &own).expect("registered").outlet;
        assert_eq!(office.status(), OutletStatus::Active);
        assert_eq!(register(Some(&office), Editor::Office, &own).expect("again").verdict, Verdict::nothing_to_do());
        let other = register(Some(&office), Editor::Office, &registration());
        assert_eq!(other.expect_err("other").reason, Reason::IdTaken);
    }

    #[test]
    fn c03_the_rep_wins_where_the_rep_stands_and_the_office_elsewhere() {
        let current = Outlet { name: "B".to_owned(), comment: "b".to_owned(), ..Outlet::default() };
        let command = EditOutlet { comment: text("a", "c"), ..blank() };
        let rep = edit(&current, REP, &command).expect("edited");
        assert_eq!((rep.outlet.comment.as_str(), rep.verdict.reason), ("c", Reason::DeviceWins));
        let office = edit(&current, Editor::Office, &command).expect("edited");
        assert_eq!((office.outlet.comment.as_str(), office.verdict.status), ("b", Status::Merged));
        let named = edit(&current, Editor::Office, &EditOutlet { name: text("A", "C"), ..blank() }).expect("edited");
        assert_eq!((named.outlet.name.as_str(), named.verdict.reason), ("C", Reason::OfficeWins));
        assert_eq!(named.verdict.overrides[0].lost, "B");
    }

    #[test]
    fn c03_different_fields_do_not_meet() {
        let point = GeoPoint { latitude_e7: 1, longitude_e7: 2, ..GeoPoint::default() };
        let office = EditOutlet { visit_radius_m: Some(Int32Change { base: 0, value: 50 }), ..blank() };
        let rep = EditOutlet { point: Some(GeoPointChange { base: None, value: Some(point) }), ..blank() };
        let first = edit(&Outlet::default(), Editor::Office, &office).expect("edited").outlet;
        let both = edit(&first, REP, &rep).expect("edited");
        assert_eq!((both.outlet.visit_radius_m, both.outlet.point, both.verdict), (50, Some(point), Verdict::done()));
        let again = edit(&both.outlet, REP, &rep).expect("edited");
        assert_eq!(again.verdict.reason, Reason::StaleBase);
    }

    #[test]
    fn c03_contacts_are_edited_one_by_one() {
        let contact = Contact { contact_id: vec![5; 16], name: "Ann".to_owned(), ..Contact::default() };
        let with = |edit: Edit| EditOutlet { contacts: vec![ContactEdit { edit: Some(edit) }], ..blank() };
        let added = edit(&Outlet::default(), REP, &with(Edit::Add(contact.clone()))).expect("edited").outlet;
        assert_eq!(added.contacts, [contact]);
        let change = ContactChange { contact_id: vec![5; 16], phone: text("", "+358"), ..ContactChange::default() };
        let changed = edit(&added, REP, &with(Edit::Change(change.clone()))).expect("edited").outlet;
        assert_eq!((changed.contacts[0].name.as_str(), changed.contacts[0].phone.as_str()), ("Ann", "+358"));
        let removed = edit(&changed, Editor::Office, &with(Edit::RemoveContactId(vec![5; 16]))).expect("edited").outlet;
        let late = edit(&removed, REP, &with(Edit::Change(change))).expect("edited");
        assert_eq!((late.outlet.contacts.len(), late.verdict.reason), (0, Reason::LineRemoved));
    }

    #[test]
    fn agreements_are_added_and_taken_out() {
        let current = Outlet { agreement_ids: vec![bytes(STANDARD)], ..Outlet::default() };
        let command =
            EditOutlet { add_agreement_ids: vec![bytes(OWN)], remove_agreement_ids: vec![bytes(STANDARD)], ..blank() };
        assert_eq!(edit(&current, Editor::Office, &command).expect("edited").outlet.agreement_ids, [bytes(OWN)]);
        let rejection = edit(&current, REP, &command).expect_err("a rep");
        assert_eq!((rejection.reason, rejection.field.as_str()), (Reason::RoleNotAllowed, "add_agreement_ids"));
    }

    #[test]
    fn the_form_is_checked() {
        let field = |command: EditOutlet| edit(&Outlet::default(), Editor::Office, &command).expect_err("form").field;
        assert_eq!(field(EditOutlet { name: text("", " "), ..blank() }), "name");
        assert_eq!(field(EditOutlet { status: Some(Int32Change { base: 0, value: 9 }), ..blank() }), "status");
        let closed = vec![OpeningHours { weekdays: 1, from_s: 60, to_s: 60 }];
        let hours = Some(OpeningHoursChange { base: vec![], value: closed });
        assert_eq!(field(EditOutlet { opening_hours: hours, ..blank() }), "to_s");
    }

    #[test]
    fn c13_blocking_says_why() {
        let block =
            |blocked, reason: &str| BlockOutlet { outlet_id: bytes(OUTLET), blocked, reason: reason.to_owned() };
        let blocked = decide_block(&Outlet::default(), &block(true, "debt")).expect("allowed").expect("changed");
        assert_eq!((blocked.blocked, blocked.blocked_reason.as_str()), (true, "debt"));
        assert_eq!(decide_block(&blocked, &block(true, "debt")), Ok(None));
        assert_eq!(decide_block(&blocked, &block(false, "")), Ok(Some(Outlet::default())));
        assert_eq!(decide_block(&blocked, &block(true, "")).expect_err("why").field, "reason");
    }

    #[test]
    fn c26_what_was_archived_does_not_come_back() {
        assert_eq!(follow(OUTLET, false, None), Ok(OUTLET));
        assert_eq!(follow(OUTLET, true, Some(OWN)), Ok(OWN));
        assert_eq!(follow(OUTLET, true, None).expect_err("gone").reason, Reason::OutletArchived);
        let archive = |survivor_id: Vec<u8>| ArchiveOutlet { outlet_id: bytes(OUTLET), survivor_id };
        let good = Some(Survivor { removed: false, came_from_it: false });
        assert_eq!(decide_archive(&archive(vec![]), None, false), Ok(None));
        assert_eq!(decide_archive(&archive(vec![]), None, true).expect_err("open").reason, Reason::WrongState);
        assert_eq!(decide_archive(&archive(bytes(OWN)), good, true), Ok(Some(OWN)));
        for (id, survivor) in [
            (OUTLET, good),
            (OWN, None),
            (OWN, Some(Survivor { removed: true, came_from_it: false })),
            (OWN, Some(Survivor { removed: false, came_from_it: true })),
        ] {
            let rejection = decide_archive(&archive(bytes(id)), survivor, false).expect_err("bad");
            assert_eq!(rejection.reason, Reason::BadSurvivor);
        }
    }

    proptest! {
        #[test]
        fn editing_twice_is_editing_once(base in 0..4_i32, current in 0..4_i32, value in 0..4_i32, office in any::<bool>()) {
            let point = |degrees| Some(GeoPoint { latitude_e7: degrees, ..GeoPoint::default() });
            let command = EditOutlet {
                point: Some(GeoPointChange { base: point(base), value: point(value) }),
                comment: text(&base.to_string(), &value.to_string()),
                ..blank()
            };
            let before = Outlet { point: point(current), comment: current.to_string(), ..Outlet::default() };
            let editor = if office { Editor::Office } else { REP };
            let once = edit(&before, editor, &command).expect("edited").outlet;
            let twice = edit(&once, editor, &command).expect("edited").outlet;
            prop_assert_eq!(&twice, &once);
            prop_assert_eq!(once.comment == value.to_string(), once.point == point(value));
        }
    }
}
