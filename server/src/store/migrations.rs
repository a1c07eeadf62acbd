//! The schema's history: common files for both databases.

use sqlx::AssertSqlSafe;
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType};

const FILES: [(i64, &str, &str); 2] = [
    (1, "core", include_str!("../../migrations/0001_core.sql")),
    (2, "projections", include_str!("../../migrations/0002_projections.sql")),
];

/// All migrations, with what only SQLite understands switched on for it.
pub(super) fn all(sqlite: bool) -> Vec<Migration> {
    FILES
        .iter()
        .map(|(version, name, text)| {
            let text = if sqlite { text.replace("/* WITHOUT ROWID */", "WITHOUT ROWID") } else { (*text).to_owned() };
            let sql = AssertSqlSafe(text).into_sql_str();
            Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_migration() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).expect("is there");
        let mut files: Vec<String> =
            folder.map(|file| file.expect("is read").file_name().to_string_lossy().into_owned()).collect();
        files.sort_unstable();
        let listed: Vec<String> = FILES.iter().map(|(version, name, _)| format!("{version:04}_{name}.sql")).collect();
        assert_eq!(files, listed);
    }
}
