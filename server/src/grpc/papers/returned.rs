//! The note of goods that come back.

use roundsman_proto::trade::{
    Customer, GoodsReturn, Outlet, RefusalReason, ReturnLine, ReturnReason, ReturnState, Shipment, Warehouse,
};
use tonic::Status;
use uuid::Uuid;

use super::super::records::one;
use super::{AskedPaper, goods, named_products, party_of_customer, place_of_warehouse};
use crate::papers::Party;
use crate::papers::return_note::{Condition, ReturnLine as NoteLine, ReturnNote, Why};
use crate::store::sql::Tx;

/// What stands on the note of a return.
///
/// # Errors
/// NOT_FOUND; `REASON_WRONG_STATE`; when the database does not answer, or a record can't be read.
pub(super) async fn note(asked: AskedPaper, tx: &mut Tx, tenant: i64) -> Result<ReturnNote, Status> {
    let back = one::<GoodsReturn>(tx, tenant, asked.id.as_bytes()).await?;
    let back = back.ok_or_else(|| Status::not_found("there is no such return"))?;
    if back.state() == ReturnState::Cancelled {
        return Err(asked.wrong_state(back.state().as_str_name()));
    }
    let shipment = one::<Shipment>(tx, tenant, &back.shipment_id).await?.unwrap_or_default();
    // As long as no warehouse has them, they are expected where they came from.
    let warehouse_id = if back.warehouse_id.is_empty() { &shipment.warehouse_id } else { &back.warehouse_id };
    let warehouse = one::<Warehouse>(tx, tenant, warehouse_id).await?;
    let outlet = one::<Outlet>(tx, tenant, &back.outlet_id).await?;
    let customer = one::<Customer>(tx, tenant, &back.customer_id).await?;
    let products = named_products(tx, tenant, back.lines.iter().map(|line| line.product_id.as_slice())).await?;
    let lines = back.lines.iter().flat_map(|line| {
        let product = Uuid::from_slice(&line.product_id).unwrap_or_default();
        let (goods, why) = (goods(products.get(&product), product), why(line, &shipment));
        let parts = parts(line, back.state()).into_iter().filter(|(quantity_milli, _)| *quantity_milli > 0);
        parts.map(move |(quantity_milli, condition)| NoteLine { goods: goods.clone(), quantity_milli, why, condition })
    });
    Ok(ReturnNote {
        id: asked.id,
        day: asked.day,
        sender: outlet
            .map(|outlet| Party { name: outlet.name, address: outlet.address, ..Party::default() })
            .unwrap_or_default(),
        customer: customer.map(party_of_customer).unwrap_or_default(),
        warehouse: warehouse.map(place_of_warehouse).unwrap_or_default(),
        shipment: Uuid::from_slice(&back.shipment_id).ok(),
        reclamation: Uuid::from_slice(&back.reclamation_id).ok(),
        lines: lines.collect(),
        comment: back.comment.clone(),
    })
}

/// How much of a line comes back in which condition: as it was counted, or, as long as it was not, as it was announced.
fn parts(line: &ReturnLine, state: ReturnState) -> Vec<(i64, Option<Condition>)> {
    match state {
        ReturnState::Received => vec![
            (line.sellable_milli, Some(Condition::Fit)),
            (line.damaged_milli, Some(Condition::Damaged)),
            (line.expired_milli, Some(Condition::OutOfDate)),
        ],
        ReturnState::Announced | ReturnState::Cancelled | ReturnState::Unspecified => {
            vec![(line.announced_milli, None)]
        }
    }
}

/// Why a line comes back: of what was not taken, the shipment says it.
fn why(line: &ReturnLine, shipment: &Shipment) -> Why {
    match line.reason() {
        ReturnReason::Unspecified => {
            let shipped = shipment.lines.iter().find(|shipped| shipped.line_id == line.shipment_line_id);
            Why::NotTaken(shipped.map_or(RefusalReason::Unspecified, |shipped| shipped.refusal_reason()))
        }
        reason @ (ReturnReason::Unsold
        | ReturnReason::Damaged
        | ReturnReason::Expired
        | ReturnReason::WrongProduct
        | ReturnReason::Quality
        | ReturnReason::Other) => Why::GivenBack(reason),
    }
}
