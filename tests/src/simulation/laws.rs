//! The laws that need a look into the database.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use roundsman::error::StoreError;
use roundsman::store::command;
use roundsman::verify::{self, Content};
use roundsman::workspace::Stored;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade;
use roundsman_sync::kind;
use uuid::Uuid;

use super::journal::{Checked, Law, broken};
use super::run::{Everything, Key, Simulation};

/// Ids in one read.
const READ: usize = 500;

fn readable<T>(result: Result<T, StoreError>) -> Checked<T> {
    result.or_else(|error| broken(Law::NoFault, error.to_string()))
}

/// A device that is where the server is holds what the server says it should hold, byte for byte.
pub async fn converged(simulation: &mut Simulation<'_>, device: usize) -> Checked<()> {
    let actor = &simulation.devices[device];
    let tenant = simulation.server.tenant_of(&actor.caller);
    let mut stored = readable(verify::projection(&simulation.server.db, &actor.caller).await)?;
    stored.retain(|(_, kind), records| !records.is_empty() && (actor.kinds.is_empty() || actor.kinds.contains(kind)));
    let held = actor.replica().content().or_else(|error| broken(Law::NoDamage, error.to_string()))?;
    let mut expected = tenant.oracle.projection(&actor.caller)?;
    expected.retain(|(_, kind), _| actor.kinds.is_empty() || actor.kinds.contains(kind));
    let name = actor.name.clone();
    let version = tenant.position.version;
    simulation.journal.check(Law::Convergence, held == stored, || {
        format!("{name} at version {version}: {}", difference(&held, &stored))
    })?;
    simulation.journal.check(Law::Oracle, held == expected, || {
        format!("{name} at version {version}: {}", difference(&held, &expected))
    })
}

/// The stored records, internal ones too, are the oracle's.
async fn as_the_oracle_says(simulation: &mut Simulation<'_>, tenant: usize) -> Checked<()> {
    type Row = (Uuid, i64, i64, Vec<u8>, Vec<u8>, Option<i64>, Option<Uuid>);
    let read = async || -> Result<Vec<Row>, StoreError> {
        let mut tx = simulation.server.db.read().await?;
        let rows = tx
            .query_as(
                "SELECT id, kind, version, document, stamps, removed_at, survivor FROM record WHERE tenant = $1 ORDER BY id",
            )
            .bind(simulation.server.tenants[tenant].id)
            .all()
            .await?;
        tx.commit().await?;
        Ok(rows)
    };
    let rows =
        readable(read().await)?.into_iter().map(|(id, kind, version, document, stamps, removed_at_us, survivor)| {
            (id, Stored { kind, version, document: document.into(), stamps: stamps.into(), removed_at_us, survivor })
        });
    let stored: BTreeMap<Uuid, Stored> = rows.collect();
    let expected = simulation.server.tenants[tenant].oracle.records();
    let ids: BTreeSet<&Uuid> = stored.keys().chain(expected.keys()).collect();
    let wrong = ids.into_iter().find(|id| stored.get(*id) != expected.get(*id)).copied();
    let what = wrong.map(|id| format!("record {id} is {:?}, should be {:?}", stored.get(&id), expected.get(&id)));
    simulation.journal.check(Law::Oracle, wrong.is_none(), || what.unwrap_or_default())
}

/// The first difference.
fn difference(held: &Content, stored: &Content) -> String {
    for (bucket, records) in stored {
        let Some(there) = held.get(bucket) else {
            return format!("{bucket:?} is missing, with {} records", records.len());
        };
        for (id, document) in records {
            match there.get(id) {
                None => return format!("{bucket:?} lacks {id}"),
                Some(other) if other != document => return format!("{id} in {bucket:?} is another"),
                Some(_) => {}
            }
        }
        if let Some(id) = there.keys().find(|id| !records.contains_key(*id)) {
            return format!("{id} in {bucket:?} should be gone");
        }
    }
    let more = held.keys().find(|bucket| !stored.contains_key(*bucket));
    format!("{more:?} should not be there")
}

/// Everything that is live, for somebody at a desk. What was removed has to stay so.
pub async fn look(simulation: &mut Simulation<'_>, tenant: usize) -> Checked<Everything> {
    type Row = (Uuid, i64, i64, Vec<u8>, Option<i64>);
    let read = async || -> Result<Vec<Row>, StoreError> {
        let mut tx = simulation.server.db.read().await?;
        let rows = tx
            .query_as("SELECT id, kind, version, document, removed_at FROM record WHERE tenant = $1 AND kind < 1000 ORDER BY id")
            .bind(simulation.server.tenants[tenant].id)
            .all()
            .await?;
        tx.commit().await?;
        Ok(rows)
    };
    let rows = readable(read().await)?;
    let mut seen: BTreeMap<trade::Kind, Vec<(Uuid, i64, Bytes)>> = BTreeMap::new();
    for (id, kind, version, document, removed) in rows {
        if removed.is_some() {
            simulation.removed.insert((tenant, id));
            continue;
        }
        let gone = simulation.removed.contains(&(tenant, id));
        simulation.journal.check(Law::NoResurrection, !gone, || format!("{id} of kind {kind} is there again"))?;
        if let Some(kind) = kind::from_number(kind) {
            seen.entry(kind).or_default().push((id, version, document.into()));
        }
    }
    Ok(Everything(seen))
}

/// All that can be said when everybody is at rest.
pub async fn at_the_end(simulation: &mut Simulation<'_>) -> Checked<()> {
    for device in 0..simulation.devices.len() {
        converged(simulation, device).await?;
    }
    for tenant in 0..simulation.server.tenants.len() {
        look(simulation, tenant).await?;
        as_the_oracle_says(simulation, tenant).await?;
        let id = simulation.server.tenants[tenant].id;
        let findings = readable(verify::verify(&simulation.server.db, id).await)?;
        simulation.journal.check(Law::StoredPlacement, findings.is_empty(), || findings.join("; "))?;
    }
    let stored = readable(commands(simulation).await)?;
    let effects = readable(effects(simulation).await)?;
    for ((key, device, seq), outcome) in &simulation.told {
        let acknowledged = stored.get(key).is_some_and(|stored| same(stored, (*device, *seq), outcome));
        simulation.journal.check(Law::ExactlyOnce, acknowledged, || {
            format!("{key:?} of {device} was answered {outcome:?}, and {:?} is kept", stored.get(key))
        })?;
    }
    for (id, captured) in
        simulation.captured.iter().filter(|(_, captured)| !captured.lost || captured.outcome.is_some())
    {
        simulation.journal.check(Law::NothingLost, stored.contains_key(id), || {
            format!("command {id:?} of device {} has no outcome", captured.device)
        })?;
    }
    // A phone that went back to a backup, and can't know, doesn't ask for what it holds for decided.
    for device in simulation.devices.iter().filter(|device| !device.unaware) {
        let tenant = simulation.server.place_of(device.caller.tenant);
        for (id, ..) in device.outbox().pending() {
            simulation.journal.check(Law::NothingLost, stored.contains_key(&(tenant, id)), || {
                format!("{} keeps command {id}, and the server does not know it", device.name)
            })?;
        }
    }
    for (id, kept) in &stored {
        let count = effects.get(id).copied().unwrap_or_default();
        simulation.journal.check(Law::ExactlyOnce, count.0 <= 1 && count.1 == count.2, || {
            format!("command {id:?} has changed records in {} versions, {} times {} records", count.0, count.1, count.2)
        })?;
        let changes = matches!(kept.outcome.status(), Status::Applied | Status::Merged | Status::Held);
        simulation.journal.check(Law::ExactlyOnce, changes || count.0 == 0, || {
            format!("command {id:?} is {:?} and has an effect", kept.outcome.status())
        })?;
    }
    created(simulation, &stored).await
}

/// Whether an outcome is what is kept, as a repeat under another number is told it.
fn same(stored: &command::Known, sent: (Uuid, i64), outcome: &Outcome) -> bool {
    if stored.sent.unwrap_or_default() == sent {
        return stored.outcome == *outcome;
    }
    outcome.status() == Status::Duplicate
        && outcome.first_status == stored.outcome.status
        && outcome.reason == stored.outcome.reason
}

/// The commands that have an outcome on the server.
pub async fn kept(simulation: &Simulation<'_>) -> Checked<BTreeSet<Key>> {
    Ok(readable(commands(simulation).await)?.into_keys().collect())
}

/// What is kept of all commands.
async fn commands(simulation: &Simulation<'_>) -> Result<BTreeMap<Key, command::Known>, StoreError> {
    let keys: BTreeSet<Key> =
        simulation.told.keys().map(|(key, _, _)| key).chain(simulation.captured.keys()).copied().collect();
    let mut tx = simulation.server.db.read().await?;
    let mut stored = BTreeMap::new();
    for (tenant, own) in simulation.server.tenants.iter().enumerate() {
        let ids: Vec<Uuid> = keys.iter().filter(|key| key.0 == tenant).map(|key| key.1).collect();
        for ids in ids.chunks(READ) {
            let known = command::known(&mut tx, own.id, ids).await?;
            stored.extend(known.into_iter().map(|(id, known)| ((tenant, id), known)));
        }
    }
    tx.commit().await?;
    Ok(stored)
}

/// By command: in how many versions it has changed records, how often, and how many.
async fn effects(simulation: &Simulation<'_>) -> Result<BTreeMap<Key, (i64, i64, i64)>, StoreError> {
    let mut tx = simulation.server.db.read().await?;
    let rows: Vec<(i64, Uuid, i64, i64, i64)> = tx
        .query_as(
            "SELECT tenant, command, COUNT(DISTINCT version), COUNT(*), COUNT(DISTINCT record) FROM history \
             GROUP BY tenant, command",
        )
        .all()
        .await?;
    tx.commit().await?;
    let of = |(tenant, command, versions, changes, records): (i64, Uuid, i64, i64, i64)| {
        ((simulation.server.place_of(tenant), command), (versions, changes, records))
    };
    Ok(rows.into_iter().map(of).collect())
}

/// What a command was to create, and was taken, is there.
async fn created(simulation: &mut Simulation<'_>, stored: &BTreeMap<Key, command::Known>) -> Checked<()> {
    let mut targets: BTreeMap<Key, Uuid> = BTreeMap::new();
    for (key, captured) in &simulation.captured {
        let taken = stored
            .get(key)
            .is_some_and(|known| matches!(known.outcome.status(), Status::Applied | Status::Merged | Status::Held));
        let command = trade::Command::decode(captured.body.clone()).ok().and_then(|command| command.command);
        if let Some(command) = command.filter(|_| taken)
            && let Some(target) = roundsman::commands::of(&command).target().filter(|target| target.creates)
        {
            targets.extend(Uuid::from_slice(target.id).ok().map(|target| ((key.0, target), key.1)));
        }
    }
    let read = async || -> Result<BTreeSet<Key>, StoreError> {
        let mut tx = simulation.server.db.read().await?;
        let mut found = BTreeSet::new();
        for (tenant, own) in simulation.server.tenants.iter().enumerate() {
            let ids: Vec<Uuid> = targets.keys().filter(|key| key.0 == tenant).map(|key| key.1).collect();
            for ids in ids.chunks(READ) {
                let records = roundsman::store::record::find(&mut tx, own.id, ids).await?;
                found.extend(records.into_iter().map(|(id, _)| (tenant, id)));
            }
        }
        tx.commit().await?;
        Ok(found)
    };
    let found = readable(read().await)?;
    for (target, command) in &targets {
        simulation.journal.check(Law::ExactlyOnce, found.contains(target), || {
            format!("command {command} was taken, and its record {target:?} is not there")
        })?;
    }
    Ok(())
}
