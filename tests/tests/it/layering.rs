//! The architecture as a test: who may name whom. A failure says what to do instead.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Every line of code of a folder that names `word`, comments and the allowed files left out.
fn lines_naming(folder: &str, word: &str, allowed: &[&str]) -> Vec<String> {
    let folder = root().join(folder);
    let mut files = Vec::new();
    sources(&folder, &mut files);
    assert!(!files.is_empty(), "{} has sources", folder.display());
    let mut found = Vec::new();
    for file in files {
        let name = file.strip_prefix(root()).expect("in the workspace").display().to_string();
        if allowed.iter().any(|allowed| name.ends_with(allowed)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("is text");
        let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        found.extend(
            code.filter(|(_, line)| line.contains(word))
                .map(|(number, line)| format!("{name}:{}: {}", number + 1, line.trim())),
        );
    }
    found
}

#[test]
fn the_pure_crate_depends_on_nothing_that_does_io() {
    let manifest = std::fs::read_to_string(root().join("sync/Cargo.toml")).expect("a manifest");
    let dependencies = manifest.split("[dependencies]").nth(1).expect("dependencies");
    let dependencies = dependencies.split("\n[").next().expect("a section");
    for banned in ["tokio", "sqlx", "axum", "tonic", "hyper", "rand", "chrono", "getrandom"] {
        let named = dependencies.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(banned));
        assert!(!named, "sync must stay pure: pass the moment, the number or the bytes in, instead of using {banned}");
    }
}

#[test]
fn only_the_seam_names_a_database_driver() {
    for word in ["sqlx::query", "sqlx::sqlite", "sqlx::postgres", "sqlx::Sqlite", "sqlx::Pg", "sqlx::Postgres"] {
        let found = lines_naming("server/src", word, &["store/sql/mod.rs", "store/sql/joint.rs", "store/sql/write.rs"]);
        assert!(found.is_empty(), "write SQL through store::sql, which serves both databases: {found:#?}");
    }
}

#[test]
fn the_core_knows_no_door() {
    for core in ["lane.rs", "batch.rs", "workspace.rs", "publish.rs", "network.rs", "reference/"] {
        let found = lines_naming("server/src", "crate::grpc", &[]);
        let found: Vec<String> =
            found.into_iter().filter(|line| line.starts_with(&format!("server/src/{core}"))).collect();
        assert!(found.is_empty(), "doors call the core, never the other way: {found:#?}");
    }
    for folder in ["server/src/commands", "server/src/store"] {
        let found = lines_naming(folder, "crate::grpc", &[]);
        assert!(found.is_empty(), "doors call the core, never the other way: {found:#?}");
    }
}

#[test]
fn rules_stand_in_the_pure_crate_and_not_in_sql() {
    let found = lines_naming("server/src/commands", "query", &[]);
    assert!(found.is_empty(), "a command asks for keys and puts records; SQL belongs in store/: {found:#?}");
}

#[test]
fn writers_begin_with_their_lock() {
    // A deferred transaction of SQLite that upgrades to writing fails at once when anybody wrote meanwhile.
    let found =
        lines_naming("server/src", ".begin()", &["store/sql/mod.rs", "store/sql/joint.rs", "store/sql/write.rs"]);
    assert!(found.is_empty(), "use Db::read, Db::write, Db::write_tenant or Db::batch: {found:#?}");
}

#[test]
fn money_and_quantities_are_whole_numbers() {
    // Distances on Earth are the only thing of the trade that is not exact.
    for (folder, allowed) in
        [("sync/src/trade", &["trade/geo.rs"][..]), ("server/src/commands", &[]), ("server/src/reference", &[])]
    {
        for word in ["f64", "f32"] {
            let found = lines_naming(folder, word, allowed);
            assert_eq!(found, Vec::<String>::new(), "count in minor units, thousandths and basis points");
        }
    }
}
