//! Takes over documents from another system.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{ImportRecords, Kind, Reason, RecordToImport};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::waiting::Scarce;
use roundsman_sync::trade::{chain, check};
use uuid::Uuid;

use super::{Context, Decide, Target, applied, applied_because, ordering, restamp_records, terms};
use crate::chains;
use crate::reference::{self, Moment, goods, quota};
use crate::workspace::{Keys, Stop, Workspace};

/// At most so many records in one command.
const RECORDS: usize = 1_000;

impl Decide for ImportRecords {
    fn name(&self) -> &'static str {
        "ImportRecords"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Office, Role::Admin, Role::Integration]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.records.len(), RECORDS, "records")?;
        for (index, entry) in self.records.iter().enumerate() {
            if let Some(Record::Outlet(outlet)) = &entry.record {
                check::count(outlet.agreement_ids.len(), check::ENTRIES, "agreement_ids")
                    .and_then(|()| {
                        let inherited = outlet.inherited_agreement_ids.len();
                        check::count(inherited, check::ENTRIES, "inherited_agreement_ids")
                    })
                    .map_err(check::at("records", index))?;
            }
            if let Some(Record::Chain(chain)) = &entry.record {
                check::count(chain.agreement_ids.len(), chain::AGREEMENTS, "agreement_ids")
                    .map_err(check::at("records", index))?;
            }
        }
        Ok(())
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        for record in &self.records {
            // One that can't ask for more yet must not keep the others from asking.
            let _ = reference::keys(record, workspace, keys);
        }
        chains::changed_keys(&self.records, workspace, keys);
        if let Ok(changed) = chains::changed(workspace, &self.records)
            && let Ok(first) = restamp_records::first_followers(workspace, &changed)
        {
            chains::follow_keys(&first.outlets, workspace, keys);
        }
        terms::keys(&self.records, workspace, keys);
        let freed = self.records.iter().filter_map(|entry| {
            if let Some(Record::Stock(stock)) = &entry.record {
                return goods::scarce(stock);
            }
            if let Some(Record::StockQuota(quota)) = &entry.record {
                return quota::scarce(quota);
            }
            let own = Uuid::from_slice(&entry.record_id).ok();
            match entry.record {
                Some(Record::Promotion(_)) => own.map(Scarce::Budget),
                Some(Record::Agreement(_)) => own.map(Scarce::Terms),
                _ => None,
            }
        });
        let listed = self.records.iter().flat_map(|entry| listed(entry, workspace));
        let listed = listed.filter_map(|agreement| Uuid::from_slice(&agreement).ok());
        ordering::waiting_keys(freed.chain(listed.map(Scarce::Terms)), workspace, keys);
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let moment = Moment { now_us: context.now_us, months_on_phone: context.policy.months_on_phone };
        let changed = chains::changed(workspace, &self.records)?;
        let debtors = terms::changed(workspace, &self.records)?;
        let mut records: Vec<(usize, &RecordToImport)> = self.records.iter().enumerate().collect();
        records.sort_by_key(|(_, entry)| entry.record.as_ref().map(reference::rank));
        for (index, entry) in records {
            reference::put(workspace, entry, moment).map_err(|stop| match stop {
                Stop::Rejected(rejection) => {
                    let id = Uuid::from_slice(&entry.record_id).unwrap_or_default();
                    check::at("records", index)(rejection.fact(None, "imported_record_id", id)).into()
                }
                Stop::Load(_) | Stop::Corrupt(_) => stop,
            })?;
        }
        let first = restamp_records::first_followers(workspace, &changed)?;
        chains::follow(workspace, &first.outlets, context.now_us)?;
        for (chain, after) in first.left {
            restamp_records::note(workspace, (Kind::Chain, chain), after, context.now_us)?;
        }
        terms::follow(context, workspace, &debtors)?;
        Ok(if workspace.untouched() { applied_because(Reason::NothingToDo) } else { applied() })
    }
}

/// The agreements by which outlets may come to buy when this record is written, as far as it is known by now.
fn listed(entry: &RecordToImport, workspace: &Workspace) -> Vec<Vec<u8>> {
    let (own, above) = match &entry.record {
        Some(Record::Outlet(outlet)) => (&outlet.agreement_ids, &outlet.chain_id),
        Some(Record::Chain(chain)) => (&chain.agreement_ids, &chain.parent_id),
        _ => return Vec::new(),
    };
    if own.is_empty() { chains::given_by(above, workspace) } else { own.clone() }
}
