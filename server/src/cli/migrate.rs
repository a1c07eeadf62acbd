//! `roundsman migrate`: the schema as this program needs it.

use super::print;
use crate::config::Config;
use crate::projection;
use crate::store::sql::Db;
use crate::store::tenant;

/// Brings the schema up to date, and makes the tables for the office anew if that is asked for.
///
/// # Errors
/// When the database does not answer, a migration fails, or a record can't be read.
pub async fn run(config: &Config, rebuild: bool) -> anyhow::Result<()> {
    let db = Db::connect(&config.database).await?;
    db.migrate().await?;
    if rebuild {
        let mut tx = db.read().await?;
        let tenants = tenant::all(&mut tx).await?;
        tx.commit().await?;
        for (id, name) in tenants {
            let bar = print::bar(projection::records(&db, id).await?, "records");
            let rebuilt = projection::rebuild(&db, id, &mut |seen| bar.inc(seen as u64)).await;
            bar.finish_and_clear();
            rebuilt?;
            tracing::info!(tenant = name, "the tables for the office are made anew");
        }
    }
    db.close().await;
    tracing::info!("the schema is up to date");
    Ok(())
}
