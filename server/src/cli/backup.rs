//! `roundsman backup`: a checked copy of an SQLite database, and word to the devices that they need not keep what it holds.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use roundsman_sync::version::Position;

use super::print;
use super::verify::must_exist;
use crate::config::Config;
use crate::store::sql::Db;
use crate::store::tenant;

/// Where to.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file to make, on another disk than the database's. There must be none of this name.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Copies the configured database, and prints what the copy holds.
///
/// # Errors
/// When it can't be copied, or the copy is damaged; what is durable then is what was before.
pub async fn run(args: &Args, config: &Config) -> anyhow::Result<()> {
    must_exist(&config.database)?;
    let db = Db::connect(&config.database).await.context("can't open the database; see --database")?;
    let made = make(&db, &args.file).await;
    db.close().await;
    for (name, position) in made? {
        print::line(format!("{name}: up to version {}", position.version));
    }
    Ok(())
}

/// Copies a database while it is in use, checks the copy, and stores for each tenant that what it holds is durable. Returns,
/// by the tenants' names, where they are in the copy.
///
/// # Errors
/// When it is not SQLite, there is such a file, it can't be written, or it is damaged. Then no file is left.
pub async fn make(db: &Db, file: &Path) -> anyhow::Result<Vec<(String, Position)>> {
    let shown = file.display();
    anyhow::ensure!(!file.exists(), "there is a file {shown} already; name another");
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // It gets its name when it is of use.
    let copy = tempfile::Builder::new()
        .prefix(".roundsman-backup-")
        .tempfile_in(folder)
        .with_context(|| format!("can't write to {}", folder.display()))?;
    db.copy_to(copy.path()).await.with_context(|| format!("can't copy the database to {shown}"))?;
    // SQLite does not wait for the disk when it makes a copy.
    copy.as_file().sync_all()?;
    let held = look(copy.path()).await.context("the copy is of no use")?;
    copy.persist_noclobber(file).with_context(|| format!("can't give the copy the name {shown}"))?;
    File::open(folder)?.sync_all()?;
    let mut tx = db.write().await?;
    let mut named = Vec::new();
    for (tenant, name, position) in held {
        tenant::set_durable(&mut tx, tenant, position.version).await?;
        named.push((name, position));
    }
    tx.commit().await?;
    Ok(named)
}

/// Where each tenant is, in a copy that is whole.
async fn look(file: &Path) -> anyhow::Result<Vec<(i64, String, Position)>> {
    let copy = Db::open_copy(file).await?;
    let held = held(&copy).await;
    copy.close().await;
    held
}

async fn held(copy: &Db) -> anyhow::Result<Vec<(i64, String, Position)>> {
    let mut tx = copy.read().await?;
    let (verdict,): (String,) = tx.query_as("PRAGMA integrity_check(1)").one().await?;
    anyhow::ensure!(verdict == "ok", verdict);
    let mut held = Vec::new();
    for (tenant, name) in tenant::all(&mut tx).await? {
        held.push((tenant, name, tenant::position(&mut tx, tenant).await?));
    }
    tx.commit().await?;
    Ok(held)
}
