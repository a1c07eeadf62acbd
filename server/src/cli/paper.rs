//! `roundsman paper`: papers to print, as PDF.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::NaiveDate;
use clap::{Args, Subcommand, ValueEnum};
use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::{PaperKind, PaperLanguage, RenderPaperRequest, RenderPaperResponse};
use uuid::Uuid;

use super::client::{Login, Session};
use super::print;

/// What can be printed; it needs the login of somebody of logistics or of the office, or of an administrator.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Tells the warehouse what to collect, by group and name.
    PickList {
        /// The shipment, or the wave.
        id: Uuid,
        /// How.
        #[command(flatten)]
        printed: Printed,
    },
    /// Goes with the goods, with prices and tax.
    DeliveryNote {
        /// The shipment.
        id: Uuid,
        /// How.
        #[command(flatten)]
        printed: Printed,
    },
    /// Tells the driver where to go, in which order, what to bring, and what to collect.
    RouteSheet {
        /// The trip.
        id: Uuid,
        /// How.
        #[command(flatten)]
        printed: Printed,
    },
    /// Tells what comes back from a customer, why, and in which condition.
    ReturnNote {
        /// The return.
        id: Uuid,
        /// How.
        #[command(flatten)]
        printed: Printed,
    },
}

/// How a paper is printed, and where it goes.
#[derive(Args, Clone, Debug)]
pub struct Printed {
    /// Somebody of logistics or of the office, or an administrator.
    #[command(flatten)]
    pub login: Login,
    /// The language of the paper.
    #[arg(long, value_enum, default_value = "en")]
    pub language: Language,
    /// The day that stands on it, as YYYY-MM-DD [default: the trip's, or none].
    #[arg(long, value_name = "DAY")]
    pub day: Option<NaiveDate>,
    /// The file [default: the kind of paper and its number, in this folder].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// The language of a paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English.
    En,
    /// Russian.
    Ru,
}

/// Prints it.
///
/// # Errors
/// When the server can't be reached, or says no, or the file can't be written.
pub async fn run(verb: Verb) -> anyhow::Result<()> {
    let (kind, id, printed) = match verb {
        Verb::PickList { id, printed } => (PaperKind::PickList, id, printed),
        Verb::DeliveryNote { id, printed } => (PaperKind::DeliveryNote, id, printed),
        Verb::RouteSheet { id, printed } => (PaperKind::RouteSheet, id, printed),
        Verb::ReturnNote { id, printed } => (PaperKind::ReturnNote, id, printed),
    };
    let mut session = printed.login.open().await?;
    let paper = render(&mut session, kind, id, (printed.language, printed.day)).await;
    session.close().await;
    let paper = paper?;
    // In this folder, whatever the server says.
    let name = Path::new(&paper.file_name).file_name().unwrap_or_default();
    let file = printed.out.unwrap_or_else(|| PathBuf::from(name));
    write(&file, &paper.pdf)?;
    print::line(file.display());
    Ok(())
}

/// Has the server make a paper.
///
/// # Errors
/// When the server can't be reached, or says no.
pub async fn render(
    session: &mut Session,
    kind: PaperKind,
    id: Uuid,
    (language, day): (Language, Option<NaiveDate>),
) -> anyhow::Result<RenderPaperResponse> {
    let language = match language {
        Language::En => PaperLanguage::English,
        Language::Ru => PaperLanguage::Russian,
    };
    let day = day.map_or(0, |day| day.signed_duration_since(NaiveDate::default()).num_days());
    let day = i32::try_from(day).context("--day is too far away")?;
    let request = RenderPaperRequest { kind: kind.into(), id: id.as_bytes().to_vec(), language: language.into(), day };
    session
        .call(request, async |channel, request| LogisticsServiceClient::new(channel).render_paper(request).await)
        .await
}

fn write(file: &Path, pdf: &[u8]) -> anyhow::Result<()> {
    std::fs::write(file, pdf).with_context(|| format!("can't write {}", file.display()))
}
