//! The verbs of the command line that work on a running server, or look into the database: what a person at a terminal or
//! a script calls. Those that serve stand in `main.rs`.

pub mod backup;
pub mod claim;
pub mod client;
pub mod customer;
pub mod debts;
pub mod device;
pub mod explain;
pub mod import;
pub mod inspect;
pub mod migrate;
pub mod outlet;
pub mod paper;
pub mod prices;
mod print;
pub mod promotion;
pub mod quarantine;
pub mod tenant;
pub mod user;
pub mod verify;

use clap::Subcommand;

use crate::config::Config;

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Imports outlets, products, prices, customers, contracts or chains from a CSV file.
    ///
    /// The whole file is checked before anything is sent, and everything that is wrong with it is told. Importing the same
    /// file again changes nothing, and an import that broke is resumed by running it again.
    Import(import::Args),
    /// Changes many prices at once, by a rule or a file, and shows before what that does.
    #[command(subcommand)]
    Prices(prices::Verb),
    /// Ends a promotion before its time.
    #[command(subcommand)]
    Promotion(promotion::Verb),
    /// Lists outlets that look like one, and merges them.
    #[command(subcommand)]
    Outlet(outlet::Verb),
    /// Merges customers that are one.
    #[command(subcommand)]
    Customer(customer::Verb),
    /// Makes papers to print, as PDF: pick lists and delivery notes.
    #[command(subcommand)]
    Paper(paper::Verb),
    /// Makes and lists users.
    #[command(subcommand)]
    User(user::Verb),
    /// Lists and shows devices, and what waits on them.
    #[command(subcommand)]
    Device(device::Verb),
    /// Shows a record with its history, and which devices have it.
    #[command(subcommand)]
    Record(inspect::RecordVerb),
    /// Tells why a record is as it is: all that led to it, in the order in which it happened.
    #[command(subcommand)]
    Explain(explain::Verb),
    /// Shows a bucket, and which devices have it.
    #[command(subcommand)]
    Bucket(inspect::BucketVerb),
    /// Shows commands that the server could not decide, and decides or discards them.
    #[command(subcommand)]
    Quarantine(quarantine::Verb),
    /// Makes the first administrator of a new server, with the setup code that it printed at its first start.
    Claim(claim::Args),
    /// Makes and lists tenants, and tells what is owed to one, in the database itself; servers may run meanwhile.
    #[command(subcommand)]
    Tenant(tenant::Verb),
    /// Copies an SQLite database while it is in use, checks the copy, and tells devices that they need not keep what it holds.
    ///
    /// Devices keep what they captured for a week, and then until a backup has it: after a restore they bring it back.
    Backup(backup::Args),
    /// Computes everything that is derived anew and compares it with what is stored; changes nothing.
    Verify(verify::Args),
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// When it can't be done, or not all of it; the error is the last word to whoever called.
    pub async fn run(self, config: &Config) -> anyhow::Result<()> {
        match self {
            Self::Import(args) => import::run(args).await,
            Self::Prices(verb) => prices::run(verb).await,
            Self::Promotion(verb) => promotion::run(verb).await,
            Self::Outlet(verb) => outlet::run(verb).await,
            Self::Customer(verb) => customer::run(verb).await,
            Self::Paper(verb) => paper::run(verb).await,
            Self::User(verb) => user::run(verb).await,
            Self::Device(verb) => device::run(verb).await,
            Self::Record(verb) => inspect::record(verb).await,
            Self::Explain(verb) => explain::run(verb).await,
            Self::Bucket(verb) => inspect::bucket(verb).await,
            Self::Quarantine(verb) => quarantine::run(verb).await,
            Self::Claim(args) => claim::run(args).await,
            Self::Tenant(verb) => tenant::run(verb, config).await,
            Self::Backup(args) => backup::run(&args, config).await,
            Self::Verify(args) => verify::run(&args, config).await,
        }
    }
}
