//! The best batch that one can write by hand: the rows of orders that the server has taken are written again, as many orders
//! at a time as there are devices, in one transaction on one connection, with the reads that their rules need, and nothing
//! is decided. What it reaches is the most that a server with these tables could.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::Context as _;
use roundsman_proto::trade::Kind;
use tokio::time::Instant;

use super::ARTICLES;
use crate::bench::{Bench, FLEET};
use crate::rep::LINES;
use crate::rows::{Column, Connection, Rows};
use crate::stats::per_second;

/// Orders that are written again in a repetition.
const ORDERS: usize = 2_000;
/// Internal records that each order changes beside those of its products: what its customer owes and the like.
const INTERNAL_KINDS: [i64; 3] = [1_002, 1_003, 1_009];
/// What is left of a product.
const AVAILABLE: i64 = 1_008;
/// What the rules read for a product.
const OF_A_PRODUCT: [Kind; 3] = [Kind::Product, Kind::Price, Kind::Stock];
/// What they read for an order.
const OF_AN_ORDER: [Kind; 3] = [Kind::Outlet, Kind::Customer, Kind::Agreement];

/// A table, the rows in it for each order, and how they are found.
struct Written {
    table: &'static str,
    rows: usize,
    select: String,
    delete: String,
}

fn written() -> Vec<Written> {
    // The orders of which rows are written, by their ids.
    let sample = format!("(SELECT id FROM sales_order WHERE tenant = 1 ORDER BY id LIMIT {ORDERS})");
    let by = |table: &'static str, key: &str, rows: usize, order: &str| Written {
        table,
        rows,
        select: format!("SELECT * FROM {table} WHERE tenant = 1 AND {key} IN {sample} ORDER BY {order}"),
        delete: format!("DELETE FROM {table} WHERE tenant = 1 AND {key} IN {sample}"),
    };
    let commands = format!("(SELECT command FROM history WHERE tenant = 1 AND record IN {sample})");
    vec![
        Written {
            table: "command",
            rows: 1,
            select: format!(
                "SELECT command.* FROM command JOIN history ON history.tenant = command.tenant AND history.command = \
                 command.id WHERE command.tenant = 1 AND history.record IN {sample} ORDER BY history.record"
            ),
            delete: format!("DELETE FROM command WHERE tenant = 1 AND id IN {commands}"),
        },
        by("history", "record", 1, "record"),
        by("outbox", "record", 1, "record"),
        by("bucket_row", "record", 1, "record"),
        by("record", "id", 1, "id"),
        by("record_change", "record", 1, "record"),
        by("sales_order_line", "sales_order", LINES, "sales_order, line_number"),
        // By these the others are found: they go last.
        by("sales_order", "id", 1, "id"),
    ]
}

/// Writes them, and says how many orders a second that makes. The database is one that a server has just left.
pub async fn measure(bench: &Bench, url: &str, repetitions: usize) -> anyhow::Result<Vec<f64>> {
    let mut connection = Connection::open(url).await?;
    let tables = written();
    let mut rows = Vec::with_capacity(tables.len());
    for written in &tables {
        let found = connection.select(written.table, &written.select).await?;
        anyhow::ensure!(
            found.count() == ORDERS * written.rows,
            "{} rows of {} for {ORDERS} orders",
            found.count(),
            written.table
        );
        rows.push(found);
    }
    let internal = Internal::read(&mut connection).await?;
    let bar = bench.progress("orders by hand".to_owned(), repetitions + 1);
    let mut samples = Vec::new();
    for repetition in 0..=repetitions {
        for written in &tables {
            connection.execute(&written.delete).await?;
        }
        let begun = Instant::now();
        for first in (0..ORDERS).step_by(FLEET) {
            let orders = first..first + FLEET;
            connection.begin().await?;
            internal.read_for(&mut connection, orders.clone()).await?;
            for (written, rows) in tables.iter().zip(&rows) {
                let range = orders.start * written.rows..orders.end * written.rows;
                connection.insert(written.table, rows, &range.collect::<Vec<_>>(), "").await?;
            }
            internal.write_for(&mut connection, orders).await?;
            connection.execute("COMMIT").await?;
        }
        // The first repetition warms up.
        if repetition > 0 {
            samples.push(per_second(ORDERS as u64, begun.elapsed()));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(samples)
}

/// What is there already and is changed by orders, or read for them.
struct Internal {
    by_customer: Vec<Rows>,
    available: Rows,
    of_a_product: Vec<Rows>,
    of_an_order: Vec<Rows>,
    sequences: Rows,
    buckets: Rows,
}

impl Internal {
    async fn read(connection: &mut Connection) -> anyhow::Result<Self> {
        let mut of_kind = async |kind: i64| {
            let rows = connection
                .select("record", &format!("SELECT * FROM record WHERE tenant = 1 AND kind = {kind} ORDER BY id"))
                .await?;
            anyhow::ensure!(rows.count() > 0, "there are no records of kind {kind}");
            anyhow::Ok(rows)
        };
        let mut by_customer = Vec::new();
        for kind in INTERNAL_KINDS {
            by_customer.push(of_kind(kind).await?);
        }
        let available = of_kind(AVAILABLE).await?;
        let (mut of_a_product, mut of_an_order) = (Vec::new(), Vec::new());
        for kind in OF_A_PRODUCT {
            of_a_product.push(of_kind(kind as i64).await?);
        }
        for kind in OF_AN_ORDER {
            of_an_order.push(of_kind(kind as i64).await?);
        }
        let sequences = connection.select("device_sequence", "SELECT * FROM device_sequence").await?;
        let orders = format!("SELECT * FROM bucket WHERE tenant = 1 AND kind = {}", Kind::Order as i64);
        let buckets = connection.select("bucket", &orders).await?;
        Ok(Self { by_customer, available, of_a_product, of_an_order, sequences, buckets })
    }

    /// The places of the products in a batch's lines, drawn as the devices draw them.
    fn products(orders: Range<usize>) -> BTreeSet<usize> {
        let draw = |order: usize| order.wrapping_mul(7_919) % ARTICLES;
        orders.flat_map(|order| (0..LINES).map(move |line| (draw(order) + line * 97) % ARTICLES)).collect()
    }

    async fn read_for(&self, connection: &mut Connection, orders: Range<usize>) -> anyhow::Result<()> {
        let products = Self::products(orders.clone());
        let mut ids = Vec::new();
        for rows in self.of_a_product.iter().chain([&self.available]) {
            for place in &products {
                ids.push(rows.id(place % rows.count(), "id")?);
            }
        }
        for rows in self.by_customer.iter().chain(&self.of_an_order) {
            for order in orders.clone() {
                ids.push(rows.id(order % rows.count(), "id")?);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        let found = connection.records(&ids).await?;
        anyhow::ensure!(found == ids.len(), "of {} records {found} were read", ids.len());
        Ok(())
    }

    async fn write_for(&self, connection: &mut Connection, orders: Range<usize>) -> anyhow::Result<()> {
        const RECORD: &str = "ON CONFLICT (tenant, id) DO UPDATE SET version = excluded.version + 1, document = \
                              excluded.document, stamps = excluded.stamps";
        let products: Vec<usize> = Self::products(orders.clone()).into_iter().collect();
        connection.insert("record", &self.available, &products, RECORD).await?;
        let places = |rows: &Rows| {
            let places: BTreeSet<usize> = orders.clone().map(|order| order % rows.count()).collect();
            places.into_iter().collect::<Vec<_>>()
        };
        for rows in &self.by_customer {
            connection.insert("record", rows, &places(rows), RECORD).await?;
        }
        let sequence = "ON CONFLICT (tenant, device) DO UPDATE SET last_seq = excluded.last_seq + 1";
        connection.insert("device_sequence", &self.sequences, &places(&self.sequences), sequence).await?;
        let bucket = "ON CONFLICT (tenant, id) DO UPDATE SET head = excluded.head + 1, checksum = excluded.checksum";
        connection.insert("bucket", &self.buckets, &places(&self.buckets), bucket).await?;
        let version = Column::Ints(vec![Some(1_000_000 + i64::try_from(orders.start)?)]);
        let point = Rows::new(vec![
            ("tenant".to_owned(), Column::Ints(vec![Some(1)])),
            ("version".to_owned(), version),
            ("nonce".to_owned(), Column::Ints(vec![Some(1)])),
            ("at_us".to_owned(), Column::Ints(vec![Some(1)])),
        ]);
        let again = "ON CONFLICT (tenant, version) DO UPDATE SET nonce = excluded.nonce + 1";
        connection.insert("commit_point", &point, &[0], again).await.context("the batch's own row")
    }
}
