//! `roundsman verify`: whether everything that is derived is as the records say.

use std::path::Path;

use anyhow::Context as _;

use super::print;
use crate::config::Config;
use crate::error::StoreError;
use crate::store::sql::Db;
use crate::store::{record, tenant};
use crate::verify::{Report, report};

/// What is verified.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this tenant, by its name; otherwise all.
    #[arg(long, value_name = "NAME")]
    pub tenant: Option<String>,
}

/// Verifies the configured database, and prints what was found.
///
/// # Errors
/// When something was found, or the database can't be read.
pub async fn run(args: &Args, config: &Config) -> anyhow::Result<()> {
    must_exist(&config.database)?;
    let db = Db::connect(&config.database).await.context("can't open the database; see --database")?;
    let verified = all(&db, args.tenant.as_deref()).await;
    db.close().await;
    let verified = verified?;
    for (name, report) in &verified {
        for finding in &report.findings {
            print::line(format!("{name}: {finding}"));
        }
        print::line(format!("{name}: {}", summary(report)));
    }
    let findings: usize = verified.iter().map(|(_, report)| report.findings.len()).sum();
    let summary = format!(
        "{}, {}",
        print::count(verified.len(), "tenant verified", "tenants verified"),
        print::count(findings, "finding", "findings")
    );
    anyhow::ensure!(findings == 0, summary);
    print::line(summary);
    Ok(())
}

/// How many of what were compared, in one line.
fn summary(report: &Report) -> String {
    let counts: Vec<String> = report.compared.iter().map(|(what, count)| format!("{count} {what}")).collect();
    format!("compared {}", counts.join(", "))
}

/// Verifies one tenant, or all; returns for each, by its name, what was compared and found.
///
/// # Errors
/// When there is no such tenant, or the database can't be read.
pub async fn all(db: &Db, name: Option<&str>) -> anyhow::Result<Vec<(String, Report)>> {
    let mut tx = db.read().await.context("can't read the database")?;
    let tenants = tenant::all(&mut tx).await.context("can't read the tenants; `roundsman migrate` makes the schema")?;
    tx.commit().await?;
    let chosen: Vec<(i64, String)> =
        tenants.into_iter().filter(|(_, other)| name.is_none_or(|name| name == other)).collect();
    if let Some(name) = name {
        anyhow::ensure!(!chosen.is_empty(), "there is no tenant `{name}`");
    }
    let mut verified = Vec::new();
    for (tenant, name) in chosen {
        let bar = print::bar(records(db, tenant).await.context("can't count the records")?, "records");
        let report = report(db, tenant, &mut |seen| bar.inc(seen as u64)).await;
        bar.finish_and_clear();
        let report = report.with_context(|| format!("can't verify {name}"))?;
        verified.push((name, report));
    }
    Ok(verified)
}

/// How many records a tenant has, those of the server's own too.
///
/// # Errors
/// When the database does not answer.
pub async fn records(db: &Db, tenant: i64) -> Result<u64, StoreError> {
    let kinds = record::kinds(&mut db.glance().await?, tenant).await?;
    Ok(kinds.iter().map(|(_, records)| records.unsigned_abs()).sum())
}

/// A look must not make an empty database where there is none.
pub(super) fn must_exist(database: &str) -> anyhow::Result<()> {
    let Some(file) = database.strip_prefix("sqlite:") else {
        return Ok(());
    };
    let file = file.strip_prefix("//").unwrap_or(file);
    let file = file.split('?').next().unwrap_or(file);
    anyhow::ensure!(Path::new(file).exists(), "there is no database `{file}`; see --database");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compared_is_told_in_one_line() {
        let compared = vec![("live records", 12), ("buckets", 3)];
        assert_eq!(summary(&Report { findings: Vec::new(), compared }), "compared 12 live records, 3 buckets");
    }

    #[test]
    fn a_missing_file_is_not_made() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("none.db");
        let error = must_exist(&format!("sqlite://{}?mode=ro", file.display())).expect_err("is missing");
        assert!(error.to_string().contains("none.db"), "{error}");
        assert!(!file.exists());
        std::fs::write(&file, "").expect("writes");
        must_exist(&format!("sqlite:{}", file.display())).expect("is there");
        must_exist("postgres://somewhere/else").expect("is not looked for");
    }
}
