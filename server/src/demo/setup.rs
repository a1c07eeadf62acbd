//! Sets the company up on a new server, as an operator and an integration would: the one-time code, users, and the import
//! of the generated world in chunks.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use prost::Message as _;
use roundsman_proto::admin::CreateUserRequest;
use roundsman_proto::admin::admin_service_client::AdminServiceClient;
use roundsman_proto::auth::auth_service_client::AuthServiceClient;
use roundsman_proto::auth::{ClaimServerRequest, Role};
use roundsman_proto::sync::Status;
use roundsman_proto::trade::{ImportRecords, RecordToImport, command::Command};
use tonic::transport::Channel;
use uuid::Uuid;

use super::desk::Desk;
use super::records;
use super::trade::Trade;
use super::world::{
    ADMIN, DRIVERS, LOGISTICIANS, OFFICE, PASSWORD, SUPERVISORS, TENANT, TERRITORIES, World, bytes, id, login, rep_id,
    rep_name, team_id, user_id,
};

/// At most so many records in a chunk …
const CHUNK_RECORDS: usize = 1_000;
/// … and so many bytes: less than a message may have.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;

/// What was set up.
#[derive(Clone, Copy, Debug)]
pub struct Loaded {
    /// Users made, the administrator among them.
    pub users: usize,
    /// Records imported.
    pub records: usize,
    /// Their bytes.
    pub bytes: usize,
    /// How long it took.
    pub took: Duration,
}

/// Claims the server, makes the users, imports the world.
///
/// # Errors
/// When the server refuses any of it.
pub async fn load(
    world: &World,
    trade: &Trade,
    code: String,
    channel: &Channel,
    desk: &mut Desk,
) -> anyhow::Result<Loaded> {
    let begun = tokio::time::Instant::now();
    let request = ClaimServerRequest {
        setup_code: code,
        tenant: TENANT.to_owned(),
        login: login(ADMIN),
        password: PASSWORD.to_owned(),
    };
    AuthServiceClient::new(channel.clone()).claim_server(request).await?;
    let (records, bytes) = import(world, trade, desk).await?;
    let users = users(desk).await?;
    Ok(Loaded { users: users + 1, records, bytes, took: begun.elapsed() })
}

async fn import(world: &World, trade: &Trade, desk: &mut Desk) -> anyhow::Result<(usize, usize)> {
    let sorts = records::all(world, trade);
    let total: usize = sorts.iter().map(|sort| sort.records.len()).sum();
    let bar = ProgressBar::new(total as u64);
    bar.set_style(ProgressStyle::with_template("{prefix:>14} [{bar:40}] {pos:>6}/{len} {elapsed}")?);
    bar.set_prefix("importing");
    let mut bytes = 0;
    let mut number = 0;
    for sort in sorts {
        bar.set_prefix(sort.name);
        for chunk in chunks(sort.records) {
            let count = chunk.len();
            let command = ImportRecords { records: chunk };
            bytes += command.encoded_len();
            number += 1;
            let answer = desk.execute(id("import", number), Command::ImportRecords(command)).await?;
            let outcome = answer.outcome.unwrap_or_default();
            anyhow::ensure!(outcome.status() == Status::Applied, "the {} are not taken: {outcome:?}", sort.name);
            bar.inc(count as u64);
        }
    }
    bar.finish_and_clear();
    Ok((total, bytes))
}

fn chunks(records: Vec<RecordToImport>) -> Vec<Vec<RecordToImport>> {
    let mut chunks: Vec<Vec<RecordToImport>> = Vec::new();
    let mut bytes = usize::MAX;
    for record in records {
        let length = record.encoded_len();
        let full = bytes.saturating_add(length) > CHUNK_BYTES;
        match chunks.last_mut().filter(|chunk| chunk.len() < CHUNK_RECORDS && !full) {
            Some(chunk) => {
                bytes += length;
                chunk.push(record);
            }
            None => {
                bytes = length;
                chunks.push(vec![record]);
            }
        }
    }
    chunks
}

async fn users(desk: &mut Desk) -> anyhow::Result<usize> {
    let mut people: Vec<(&str, Role, Option<Uuid>, Option<Uuid>)> = Vec::new();
    people.extend((0..TERRITORIES + DRIVERS.len()).map(|rep| {
        let role = if rep < TERRITORIES { Role::Rep } else { Role::Driver };
        (rep_name(rep), role, Some(rep_id(rep)), None)
    }));
    let supervisors = SUPERVISORS.iter().enumerate();
    people.extend(supervisors.map(|(team, name)| (*name, Role::Supervisor, None, Some(team_id(team)))));
    people.extend(LOGISTICIANS.iter().map(|name| (*name, Role::Logistics, None, None)));
    people.push((OFFICE, Role::Office, None, None));
    for (name, role, rep, team) in &people {
        let request = CreateUserRequest {
            user_id: bytes(user_id(name)),
            login: login(name),
            password: PASSWORD.to_owned(),
            role: (*role).into(),
            rep_id: rep.map_or_else(Vec::new, bytes),
            team_id: team.map_or_else(Vec::new, bytes),
        };
        desk.call(
            request,
            |channel, request| async move { AdminServiceClient::new(channel).create_user(request).await },
        )
        .await?;
    }
    Ok(people.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_at_most_a_thousand_records_and_none_is_lost() {
        let chunks = chunks(vec![RecordToImport::default(); 2_500]);
        assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
    }
}
