//! Settings: a flag beats the environment, which beats the file. A wrong setting stops the start with a sentence that says
//! how to mend it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::app_version::AppVersion;

/// What `serve` can be told. Every setting may stand in the file under its flag's name, with `_` for `-`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The database: `sqlite:FILE`, or `postgres://USER:PASSWORD@HOST/NAME` [default: sqlite:roundsman.db].
    #[arg(long, global = true, env = "ROUNDSMAN_DATABASE", hide_env_values = true)]
    pub database: Option<String>,
    /// The address on which devices, the office and metrics are served [default: 127.0.0.1:7700].
    #[arg(long, global = true, env = "ROUNDSMAN_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// How logs look: `text` or `json` [default: text].
    #[arg(long, global = true, env = "ROUNDSMAN_LOG_FORMAT")]
    pub log_format: Option<String>,
    /// What is logged, such as `info` or `roundsman=debug,warn` [default: info].
    #[arg(long, global = true, env = "ROUNDSMAN_LOG")]
    pub log: Option<String>,
    /// The oldest version of the app that is served, such as `2.4`. An older one, and one that does not say its version in
    /// this form, still hands in what it has captured, and gets nothing [default: all are served].
    #[arg(long, global = true, env = "ROUNDSMAN_MIN_APP_VERSION", value_name = "VERSION")]
    pub min_app_version: Option<String>,
    /// How many MiB of packed pages are kept in memory, to be handed to all devices that need them [default: 64].
    #[arg(long, global = true, env = "ROUNDSMAN_SHARED_PAGES_MIB", value_name = "MIB")]
    pub shared_pages_mib: Option<u32>,
}

/// The settings that hold, complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database's URL; may contain a password.
    pub database: String,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Logs as JSON, one object a line.
    pub log_json: bool,
    /// What is logged, as a filter of `tracing`.
    pub log: String,
    /// The oldest version of the app that may pull; `None`: all may.
    pub min_app_version: Option<AppVersion>,
    /// So many MiB of packed pages are kept in memory.
    pub shared_pages_mib: u32,
}

impl Config {
    /// Puts the settings together: `given` are those of flags and environment, `file` is read if it is named.
    ///
    /// # Errors
    /// When the file can't be read, or a setting is wrong.
    pub fn resolve(given: Settings, file: Option<&Path>) -> anyhow::Result<Self> {
        let base = match file {
            Some(path) => read(path)?,
            None => Settings::default(),
        };
        let format = given.log_format.or(base.log_format).unwrap_or_else(|| "text".to_owned());
        let log_json = match format.as_str() {
            "text" => false,
            "json" => true,
            other => anyhow::bail!("log-format is `{other}`; it must be `text` or `json`"),
        };
        let min_app_version = given.min_app_version.or(base.min_app_version).filter(|version| !version.is_empty());
        let min_app_version = min_app_version
            .map(|version| version.parse().map_err(|error| anyhow::anyhow!("min-app-version is `{version}`; {error}")))
            .transpose()?;
        Ok(Self {
            min_app_version,
            shared_pages_mib: given.shared_pages_mib.or(base.shared_pages_mib).unwrap_or(64),
            database: given.database.or(base.database).unwrap_or_else(|| "sqlite:roundsman.db".to_owned()),
            listen: given.listen.or(base.listen).unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 7700))),
            log_json,
            log: given.log.or(base.log).unwrap_or_else(|| "info".to_owned()),
        })
    }
}

fn read(path: &Path) -> anyhow::Result<Settings> {
    let shown = PathBuf::from(path);
    let shown = shown.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("the settings file {shown} can't be read ({error}); check --config"))?;
    toml::from_str(&text).map_err(|error| anyhow::anyhow!("the settings file {shown} is wrong: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("roundsman.toml");
        std::fs::write(&file, "database = \"sqlite:file.db\"\nlisten = \"127.0.0.1:1\"\n").expect("writes");
        let given = Settings { listen: Some(SocketAddr::from(([127, 0, 0, 1], 2))), ..Settings::default() };
        let config = Config::resolve(given, Some(&file)).expect("resolves");
        assert_eq!((config.database.as_str(), config.listen.port()), ("sqlite:file.db", 2));
        assert_eq!(config.log, "info");
    }

    #[test]
    fn a_wrong_setting_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("roundsman.toml");
        std::fs::write(&file, "databse = \"sqlite:file.db\"\n").expect("writes");
        let error = Config::resolve(Settings::default(), Some(&file)).expect_err("is wrong").to_string();
        assert!(error.contains("databse"), "{error}");
        let given = Settings { log_format: Some("xml".to_owned()), ..Settings::default() };
        let error = Config::resolve(given, None).expect_err("is wrong").to_string();
        assert!(error.contains("`text` or `json`"), "{error}");
        let given = Settings { min_app_version: Some("newest".to_owned()), ..Settings::default() };
        let error = Config::resolve(given, None).expect_err("is wrong").to_string();
        assert!(error.contains("`newest`") && error.contains("2.4.1"), "{error}");
    }
}
