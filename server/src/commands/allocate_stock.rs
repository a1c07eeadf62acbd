//! Lets the orders that wait for a scarce product have what a quota gives at a moment.
//!
//! Of the moments of a product in a warehouse the next one is noted ([`AllocationCalendar`]). When it has come, what is to be shared
//! out is, and all who wait are asked, some with each command; only then the next moment is noted.

use std::collections::BTreeSet;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{AllocateStock, Product, Reason};
use roundsman_sync::trade::allocation::Demand;
use roundsman_sync::trade::quota::Quotas;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::waiting::{SERVED_AT_ONCE, Scarce, Waiting, WaitingOrder};
use roundsman_sync::trade::{check, step};
use uuid::Uuid;

use super::chunk::Chunk;
use super::{Context, Decide, Target, applied_because, ordering};
use crate::internal::{AllocationCalendar, AllocationDue};
use crate::workspace::{Keys, Stop, Workspace};

impl Decide for AllocateStock {
    fn name(&self) -> &'static str {
        "AllocateStock"
    }

    fn roles(&self) -> &'static [Role] {
        &[]
    }

    fn target(&self) -> Option<Target<'_>> {
        None
    }

    fn keys(&self, _: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.internal::<AllocationCalendar>(&());
        let (Ok(warehouse), Ok(product)) = (Uuid::from_slice(&self.warehouse_id), Uuid::from_slice(&self.product_id))
        else {
            return Ok(());
        };
        let goods = (warehouse, product);
        keys.id(product);
        keys.internal::<Available>(&goods);
        keys.internal::<Quotas>(&goods);
        keys.internal::<Demand>(&goods);
        keys.internal::<Waiting>(&Scarce::Stock { warehouse, product });
        if let Some(due) = due(self, workspace, goods)? {
            keys.lead_on();
            for (id, _) in Turn::of(workspace, goods, due.after.as_ref())?.asked() {
                ordering::again_keys(id, workspace, keys);
            }
        }
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        let goods = (check::id(&self.warehouse_id, "warehouse_id")?, check::id(&self.product_id, "product_id")?);
        check::range(self.at_us, 0..=context.now_us, "at_us")?;
        check::optional_id(&self.after_order_id, "after_order_id")?;
        let Some(due) = due(self, workspace, goods)? else {
            // Done before, or begun anew because a quota has changed.
            return Ok(applied_because(Reason::NothingToDo));
        };
        let turn = Turn::of(workspace, goods, due.after.as_ref())?;
        if due.after.is_none() {
            share_out(workspace, goods, context.now_us)?;
        }
        let (ids, asked): (Vec<Uuid>, Vec<&WaitingOrder>) = turn.asked().unzip();
        ordering::decide_all_again(context, workspace, &ids)?;
        let mut calendar: AllocationCalendar = workspace.internal(&())?;
        match asked.last().filter(|_| turn.is_long()) {
            Some(last) => calendar.go_on_after(goods, (*last).clone(), context.now_us),
            None => {
                let mut quotas: Quotas = workspace.internal(&goods)?;
                let began_us = if due.began_us == 0 { context.now_us } else { due.began_us };
                quotas.asked(began_us, due.since_us);
                calendar.note(goods, quotas.next_moment(), context.now_us);
                workspace.put_internal(&goods, &quotas)?;
            }
        }
        workspace.put_internal(&(), &calendar)?;
        let chunk = Chunk { more: turn.is_long(), ids };
        Ok(chunk.outcome(!chunk.ids.is_empty()))
    }
}

/// What is noted of the goods, if the command goes on there.
fn due(command: &AllocateStock, workspace: &Workspace, goods: (Uuid, Uuid)) -> Result<Option<AllocationDue>, Stop> {
    let calendar: AllocationCalendar = workspace.internal(&())?;
    let goes_on = |due: &&AllocationDue| {
        let after = due.after.as_ref().map(|order| order.order_id.as_slice()).unwrap_or_default();
        due.at_us <= command.at_us && after == command.after_order_id
    };
    Ok(calendar.of(goods).filter(goes_on).cloned())
}

/// Shares a product out, if that is due.
fn share_out(workspace: &mut Workspace, goods: (Uuid, Uuid), now_us: i64) -> Result<(), Stop> {
    let (available, demand): (Available, Demand) = (workspace.internal(&goods)?, workspace.internal(&goods)?);
    let step_milli = step::of(&workspace.find::<Product>(goods.1)?.unwrap_or_default(), None);
    let mut quotas: Quotas = workspace.internal(&goods)?;
    if quotas.share_out(&demand, (available.free_milli(), step_milli), now_us) {
        workspace.put_internal(&goods, &quotas)?;
    }
    Ok(())
}

/// Whose turn it is: the orders that wait for the product, the one that was submitted first first.
struct Turn(Vec<WaitingOrder>);

impl Turn {
    /// Those after one who was asked already. Where nothing is free, only those who wait until the product is shared out.
    fn of(
        workspace: &Workspace,
        (warehouse, product): (Uuid, Uuid),
        after: Option<&WaitingOrder>,
    ) -> Result<Self, Stop> {
        let demand: Demand = workspace.internal(&(warehouse, product))?;
        let mut orders: BTreeSet<WaitingOrder> = demand.orders.into_iter().map(|demand| demand.order).collect();
        if workspace.internal::<Available>(&(warehouse, product))?.free_milli() > 0 {
            let waiting: Waiting = workspace.internal(&Scarce::Stock { warehouse, product })?;
            orders.extend(waiting.orders);
        }
        Ok(Self(orders.into_iter().filter(|order| Some(order) > after).collect()))
    }

    /// Those who are asked now.
    fn asked(&self) -> impl Iterator<Item = (Uuid, &WaitingOrder)> {
        let asked = self.0.iter().take(SERVED_AT_ONCE);
        asked.filter_map(|order| Some((Uuid::from_slice(&order.order_id).ok()?, order)))
    }

    /// Whether there are others.
    fn is_long(&self) -> bool {
        self.0.len() > SERVED_AT_ONCE
    }
}
