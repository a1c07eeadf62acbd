//! What is looked at before prices change: those that there are, and how many devices hold them.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;
use roundsman_proto::admin as proto;
use roundsman_proto::trade::{Price, PriceList, Product, Reason};
use roundsman_sync::kind::{Kind, Record};
use roundsman_sync::page::{Cursor, Row, decode_frames};
use roundsman_sync::scope::Scope;
use roundsman_sync::trade::rejection::Rejection;
use tonic::Status;
use uuid::Uuid;

use super::auth::bytes;
use super::fields::Fields;
use super::inspect::{LOOKED_AT, holds};
use super::paging::{Filter, PAGE_BYTES};
use super::status;
use crate::error::StoreError;
use crate::store::bucket::StoredRow;
use crate::store::sql::{Db, Tx};
use crate::store::{account, bucket, record};

/// A row's place in a bucket: version and record.
const KEY_BYTES: usize = 24;
/// Products that are read at a time.
const READ: usize = 64;

/// A page of prices, checked.
#[derive(Debug)]
pub struct PricePage {
    token: Filter,
    list: Uuid,
    after: Cursor,
    size: usize,
}

impl PricePage {
    /// What was asked for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    pub fn of(request: &proto::ListPricesRequest) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let list = fields.id("price_list_id", &request.price_list_id);
        let token = Filter::of("prices", &[list.as_bytes()]);
        let after = token.after::<KEY_BYTES>(&mut fields, &request.page_token).map(cursor).unwrap_or_default();
        let size = usize::try_from(fields.page_size("page_size", request.page_size)).unwrap_or(usize::MAX);
        fields.check()?;
        Ok(Self { token, list, after, size })
    }

    /// Reads it: the list's bucket has its prices, and nobody else's.
    ///
    /// # Errors
    /// When there is no such list, or the database does not answer.
    pub async fn read(&self, tx: &mut Tx, tenant: i64) -> Result<proto::ListPricesResponse, Status> {
        let mut answer = proto::ListPricesResponse {
            price_list: Some(live_list(tx, tenant, self.list).await?),
            ..Default::default()
        };
        let scope = Scope::PriceList(self.list).to_string();
        let Some(bucket) = bucket::find(tx, tenant, &scope, i64::from(Kind::Price as i32)).await? else {
            return Ok(answer);
        };
        let limit = i64::try_from(self.size).unwrap_or(i64::MAX).saturating_add(1);
        let mut rows = bucket::stored_rows(tx, (tenant, bucket.id), self.after, limit).await?;
        let is_last = rows.len() <= self.size;
        rows.truncate(self.size);
        let mut size_bytes = 0;
        let mut before = self.after;
        for chunk in rows.chunks(READ) {
            let prices = prices(chunk)?;
            let products = products(tx, tenant, &prices).await?;
            for (row, price) in chunk.iter().zip(prices) {
                if let Some(price) = price {
                    let listed = listed(row, price, &products);
                    size_bytes += listed.encoded_len();
                    if size_bytes > PAGE_BYTES && !answer.prices.is_empty() {
                        answer.next_page_token = self.token.token(key(before));
                        return Ok(answer);
                    }
                    answer.prices.push(listed);
                }
                before = Cursor { version: row.version, record: Some(row.record) };
            }
        }
        if !is_last {
            answer.next_page_token = self.token.token(key(before));
        }
        Ok(answer)
    }
}

/// The prices of these rows; `None`: the row is the news that a price left.
fn prices(rows: &[StoredRow]) -> Result<Vec<Option<Price>>, Status> {
    let mut prices = Vec::with_capacity(rows.len());
    for stored in rows {
        let row = decode_frames(Bytes::from(stored.frame.clone())).map_err(status::internal)?.pop();
        let document = row.and_then(|row: Row| row.document);
        prices.push(document.map(|document| decoded::<Price>(stored.record, document)).transpose()?);
    }
    Ok(prices)
}

fn listed(row: &StoredRow, price: Price, products: &HashMap<Vec<u8>, Product>) -> proto::ListedPrice {
    let product = products.get(&price.product_id).cloned().unwrap_or_default();
    proto::ListedPrice {
        price_id: bytes(row.record),
        version: row.version,
        price: Some(price),
        product_code: product.code,
        product_name: product.name,
        product_group_path: product.group_path,
    }
}

fn cursor(key: [u8; KEY_BYTES]) -> Cursor {
    let (version, record) = key.split_at(8);
    let version = version.try_into().map_or(0, i64::from_be_bytes);
    Cursor { version, record: Uuid::from_slice(record).ok() }
}

fn key(at: Cursor) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&at.version.to_be_bytes());
    key[8..].copy_from_slice(at.record.unwrap_or_default().as_bytes());
    key
}

fn decoded<R: Record>(id: Uuid, document: Bytes) -> Result<R, StoreError> {
    R::decode(document).map_err(|error| StoreError::Corrupt(format!("record {id}: {error}")))
}

async fn live_list(tx: &mut Tx, tenant: i64, id: Uuid) -> Result<PriceList, Status> {
    let found = record::find(tx, tenant, &[id]).await?.pop().map(|(_, stored)| stored);
    let is_list = |kind: i64| kind == i64::from(Kind::PriceList as i32);
    let list = found.filter(|stored| is_list(stored.kind) && stored.removed_at_us.is_none());
    let missing = || status::rejected(&Rejection::new(Reason::NotFound).field("price_list_id").about(id));
    PriceList::decode(list.ok_or_else(missing)?.document).map_err(status::internal)
}

/// The products of these prices, by the bytes of their ids.
async fn products(tx: &mut Tx, tenant: i64, prices: &[Option<Price>]) -> Result<HashMap<Vec<u8>, Product>, StoreError> {
    let mut ids: Vec<Uuid> =
        prices.iter().flatten().filter_map(|price| Uuid::from_slice(&price.product_id).ok()).collect();
    ids.sort_unstable();
    ids.dedup();
    let mut products = HashMap::new();
    for (id, stored) in record::find(tx, tenant, &ids).await? {
        if stored.removed_at_us.is_none() {
            products.insert(bytes(id), decoded::<Product>(id, stored.document)?);
        }
    }
    Ok(products)
}

/// How many devices are granted a price list and may call.
///
/// # Errors
/// When there is no such list, or the database does not answer.
pub async fn holders(db: &Db, tenant: i64, list: Uuid) -> Result<i32, Status> {
    let mut tx = db.read().await?;
    live_list(&mut tx, tenant, list).await?;
    tx.commit().await?;
    let scope = Scope::PriceList(list);
    let mut users: HashMap<Uuid, bool> = HashMap::new();
    let (mut holders, mut after) = (0_i32, Uuid::nil());
    loop {
        let mut tx = db.read().await?;
        let devices = account::devices_by_id(&mut tx, tenant, after, LOOKED_AT).await?;
        let Some(last) = devices.last() else { return Ok(holders) };
        after = last.id;
        for device in devices.iter().filter(|device| device.revoked_at.is_none()) {
            let holds_it = match users.get(&device.user_id) {
                Some(known) => *known,
                None => {
                    let user = holds(&mut tx, tenant, device.user_id).await?;
                    let holds_it = user.is_some_and(|(_, holding)| holding.scopes.contains(&scope));
                    users.insert(device.user_id, holds_it);
                    holds_it
                }
            };
            holders = holders.saturating_add(i32::from(holds_it));
        }
        tx.commit().await?;
    }
}
