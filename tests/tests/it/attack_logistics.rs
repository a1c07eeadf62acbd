//! Attempts on the calls of logistics: what is another tenant's or another role's, ids that are none, and what is named twice or far
//! too often. Each is refused, and nothing of it is written.

use std::collections::BTreeMap;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{
    AllocateWave, AnswerChangeRequest, CancelShipment, CancelTrip, ChangeRequest, CheckShipment, CloseOrder, CloseTrip,
    DecideClaim, DecidedClaimLine, DeliverShipment, DeliveredLine, DepartTrip, LoadShipment, Order, PickShipment,
    PlanTrip, PrepareShipment, PreparedLine, Reason, Reclamation, ReleaseOrder, ReturnedGoods, ReviewClaim, Scan,
    SettleClaim, ShipShipment, Shipment, ShippedLine, ShortageRule, StartWave, Trip, Wave,
};
use roundsman_tests::app::TODAY;
use roundsman_tests::database::Kind;
use roundsman_tests::world::{PRICE_MINOR, bytes};
use tonic::Code;
use uuid::Uuid;

use crate::desk::{stranger, stranger_as};
use crate::shipments::Warehouse;

on_both_databases!(
    what_is_another_tenants_is_not_there,
    what_is_another_roles_work_is_refused,
    ids_that_are_none_are_refused,
    what_is_named_twice_or_too_often_is_refused,
);

/// An order that is released, one in a shipment, and what else commands may name.
struct Prey {
    house: Warehouse,
    order: Uuid,
    prepared: Uuid,
    shipment: Uuid,
}

/// All documents of logistics, as they are.
type Documents =
    (BTreeMap<Uuid, Order>, BTreeMap<Uuid, Shipment>, BTreeMap<Uuid, Wave>, BTreeMap<Uuid, Trip>, [usize; 2]);

impl Prey {
    async fn make(kind: Kind) -> Self {
        let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
        let order = house.released(&[(0, 3, PRICE_MINOR), (1, 2, PRICE_MINOR)]).await;
        let prepared = house.released(&[(0, 2, PRICE_MINOR)]).await;
        let shipment = house.prepares(prepared).await;
        Self { house, order, prepared, shipment }
    }

    async fn documents(&self) -> Documents {
        let (app, tenant) = (&self.house.app, self.house.world.tenant);
        let others = [app.stored::<Reclamation>(tenant).await.len(), app.stored::<ChangeRequest>(tenant).await.len()];
        (app.stored(tenant).await, app.stored(tenant).await, app.stored(tenant).await, app.stored(tenant).await, others)
    }

    /// Whoever has this token is refused, and why. What is no message that can be decided is refused by the door.
    async fn refused(&self, token: &str, command: Command) -> Reason {
        match self.house.app.office_as(token, self.house.app.id(), command.clone()).await {
            Ok(outcome) => rejected(&outcome, &command),
            Err(status) => {
                assert_eq!(status.code(), Code::InvalidArgument, "{status}: {}", short(&command));
                Reason::BadId
            }
        }
    }

    /// Commands about what these ids name, each with a role that may issue it.
    fn commands(&self, order: &[u8], shipment: &[u8]) -> Vec<(Role, Command)> {
        use Role::{Admin, Logistics};
        let (order_id, shipment_id) = (order.to_vec(), shipment.to_vec());
        let reason = "a flood".to_owned();
        let prepare = PrepareShipment {
            shipment_id: bytes(self.house.app.id()),
            order_id: order_id.clone(),
            ..PrepareShipment::default()
        };
        let pick = PickShipment { shipment_id: shipment_id.clone(), finished: true, ..PickShipment::default() };
        let deliver = DeliverShipment { shipment_id: shipment_id.clone(), ..DeliverShipment::default() };
        let close = CloseTrip { trip_id: shipment_id.clone(), ..CloseTrip::default() };
        let review = ReviewClaim { reclamation_id: shipment_id.clone(), ..ReviewClaim::default() };
        let decide = DecideClaim { reclamation_id: shipment_id.clone(), ..DecideClaim::default() };
        let settle = SettleClaim { reclamation_id: shipment_id.clone(), ..SettleClaim::default() };
        let answer = AnswerChangeRequest { change_request_id: shipment_id.clone(), ..AnswerChangeRequest::default() };
        vec![
            (Logistics, Command::ReleaseOrder(ReleaseOrder { order_id: order_id.clone(), partly: false })),
            (Logistics, Command::CloseOrder(CloseOrder { order_id, reason: reason.clone() })),
            (Logistics, Command::PrepareShipment(prepare)),
            (Logistics, Command::PickShipment(pick)),
            (Logistics, Command::CheckShipment(CheckShipment { shipment_id: shipment_id.clone(), scans: Vec::new() })),
            (
                Logistics,
                Command::CancelShipment(CancelShipment { shipment_id: shipment_id.clone(), reason: reason.clone() }),
            ),
            (
                Logistics,
                Command::ShipShipment(ShipShipment { shipment_id: shipment_id.clone(), ..ShipShipment::default() }),
            ),
            (
                Logistics,
                Command::LoadShipment(LoadShipment { shipment_id: shipment_id.clone(), ..LoadShipment::default() }),
            ),
            (Logistics, Command::DeliverShipment(deliver)),
            (Logistics, Command::AllocateWave(AllocateWave { wave_id: shipment_id.clone() })),
            (Logistics, Command::DepartTrip(DepartTrip { trip_id: shipment_id.clone() })),
            (Logistics, Command::CloseTrip(close)),
            (Logistics, Command::CancelTrip(CancelTrip { trip_id: shipment_id, reason })),
            (Logistics, Command::ReviewClaim(review)),
            (Logistics, Command::AnswerChangeRequest(answer)),
            (Admin, Command::DecideClaim(decide)),
            (Admin, Command::SettleClaim(settle)),
        ]
    }

    fn wave(&self, wave_id: Vec<u8>, order_ids: Vec<Vec<u8>>) -> Command {
        let warehouse_id = bytes(self.house.world.warehouse);
        Command::StartWave(StartWave { wave_id, warehouse_id, order_ids, ..StartWave::default() })
    }

    fn trip(&self, trip_id: Vec<u8>, shipment_ids: Vec<Vec<u8>>) -> Command {
        let plan = PlanTrip {
            trip_id,
            vehicle_id: bytes(self.house.app.id()),
            driver_id: bytes(self.house.world.anna.rep),
            warehouse_id: bytes(self.house.world.warehouse),
            day: TODAY,
            shipment_ids,
            ..PlanTrip::default()
        };
        Command::PlanTrip(plan)
    }
}

fn short(command: &Command) -> String {
    format!("{command:?}").chars().take(200).collect()
}

fn rejected(outcome: &Outcome, command: &Command) -> Reason {
    assert_eq!(outcome.status(), Status::Rejected, "{outcome:?}: {}", short(command));
    outcome.reason()
}

async fn what_is_another_tenants_is_not_there(kind: Kind) {
    let prey = Prey::make(kind).await;
    let before = prey.documents().await;
    let supervisor = prey.house.world.supervisor;
    let (eve, mallory) = (
        stranger(&prey.house.app, supervisor).await,
        stranger_as(&prey.house.app, supervisor, ("Third", Role::Logistics)).await,
    );
    let mut commands = prey.commands(&bytes(prey.order), &bytes(prey.shipment));
    commands.push((Role::Logistics, prey.wave(bytes(prey.house.app.id()), vec![bytes(prey.order)])));
    commands.push((Role::Logistics, prey.trip(bytes(prey.house.app.id()), vec![bytes(prey.shipment)])));
    for (role, command) in commands {
        let token = if role == Role::Logistics { &mallory } else { &eve };
        let reason = prey.refused(token, command.clone()).await;
        assert_eq!(reason, Reason::NotFound, "{}", short(&command));
    }
    assert!(prey.documents().await == before);
    prey.house.closes().await;
}

async fn what_is_another_roles_work_is_refused(kind: Kind) {
    let mut prey = Prey::make(kind).await;
    let before = prey.documents().await;
    let sonja = prey.house.app.token("sonja").await;
    let mut commands = prey.commands(&bytes(prey.order), &bytes(prey.shipment));
    commands.push((Role::Logistics, prey.wave(bytes(prey.house.app.id()), vec![bytes(prey.order)])));
    commands.push((Role::Logistics, prey.trip(bytes(prey.house.app.id()), vec![bytes(prey.shipment)])));
    for (_, command) in commands {
        let reason = prey.refused(&sonja, command.clone()).await;
        assert_eq!(reason, Reason::RoleNotAllowed, "{}", short(&command));
        let may_drive =
            matches!(command, Command::LoadShipment(_) | Command::DeliverShipment(_) | Command::DepartTrip(_));
        let outcome = prey.house.app.decide(&mut prey.house.anna, command.clone()).await;
        let reason = rejected(&outcome, &command);
        assert!(may_drive || reason == Reason::RoleNotAllowed, "{reason:?}: {}", short(&command));
    }
    assert!(prey.documents().await == before);
    prey.house.closes().await;
}

async fn ids_that_are_none_are_refused(kind: Kind) {
    let prey = Prey::make(kind).await;
    let before = prey.documents().await;
    let (lars, admin) = (prey.house.lars.clone(), prey.house.app.admin_token().await);
    for wrong in [Vec::new(), vec![7; 15], vec![7; 17], vec![0; 16], vec![7; 200_000]] {
        let mut commands = prey.commands(&wrong, &wrong);
        commands.extend([
            (Role::Logistics, prey.wave(wrong.clone(), vec![bytes(prey.order)])),
            (Role::Logistics, prey.wave(bytes(prey.house.app.id()), vec![bytes(prey.order), wrong.clone()])),
            (Role::Logistics, prey.trip(wrong.clone(), vec![bytes(prey.shipment)])),
            (Role::Logistics, prey.trip(bytes(prey.house.app.id()), vec![bytes(prey.shipment), wrong.clone()])),
        ]);
        for (role, command) in commands {
            prey.refused(if role == Role::Logistics { &lars } else { &admin }, command).await;
        }
    }
    assert!(prey.documents().await == before);
    prey.house.closes().await;
}

async fn what_is_named_twice_or_too_often_is_refused(kind: Kind) {
    let prey = Prey::make(kind).await;
    let before = prey.documents().await;
    let (lars, admin) = (prey.house.lars.clone(), prey.house.app.admin_token().await);
    let new = || bytes(prey.house.app.id());
    let many = |number: usize| (0..number).map(|_| new()).collect::<Vec<_>>();
    let (order, shipment) = (bytes(prey.order), bytes(prey.shipment));
    let line = before.1[&prey.shipment].lines[0].clone();
    let picked = ShippedLine { line_id: line.line_id.clone(), picked_milli: 1_000, ..ShippedLine::default() };
    let delivered = DeliveredLine { line_id: line.line_id.clone(), ..DeliveredLine::default() };
    let prepare = |more_order_ids: Vec<Vec<u8>>, lines: Vec<PreparedLine>| {
        let (shipment_id, order_id) = (new(), order.clone());
        Command::PrepareShipment(PrepareShipment { shipment_id, order_id, lines, more_order_ids, ..Default::default() })
    };
    let of_order = before.0[&prey.order].lines[0].line_id.clone();
    let part = PreparedLine { order_id: order.clone(), line_id: of_order, quantity_milli: 1_000 };
    let pick = |lines: Vec<ShippedLine>| {
        let (shipment_id, comment) = (shipment.clone(), String::new());
        Command::PickShipment(PickShipment { shipment_id, lines, finished: true, comment })
    };
    let check = |scans: Vec<Scan>| Command::CheckShipment(CheckShipment { shipment_id: shipment.clone(), scans });
    let scan = Scan { barcode: "4600000000001".to_owned(), count: 1 };
    let deliver = |lines: Vec<DeliveredLine>| {
        Command::DeliverShipment(DeliverShipment { shipment_id: shipment.clone(), lines, ..Default::default() })
    };
    let back = ReturnedGoods { product_id: line.product_id.clone(), sellable_milli: 1, unsellable_milli: 0 };
    let decided = DecidedClaimLine { line_id: line.line_id.clone(), ..DecidedClaimLine::default() };
    let decide = |lines| Command::DecideClaim(DecideClaim { reclamation_id: new(), lines, ..Default::default() });
    let attempts = [
        (&lars, prey.wave(new(), vec![order.clone(), order.clone()])),
        (&lars, prey.wave(new(), Vec::new())),
        (&lars, prey.wave(new(), many(3_001))),
        (&lars, prey.wave(shipment.clone(), vec![order.clone()])),
        (&lars, prey.trip(new(), vec![shipment.clone(), shipment.clone()])),
        (&lars, prey.trip(new(), many(61))),
        (&lars, prey.trip(order.clone(), vec![shipment.clone()])),
        (&lars, prepare(vec![order.clone()], Vec::new())),
        (&lars, prepare(vec![bytes(prey.prepared), bytes(prey.prepared)], Vec::new())),
        (&lars, prepare(many(50), Vec::new())),
        (&lars, prepare(Vec::new(), vec![part.clone(), part.clone()])),
        (&lars, prepare(Vec::new(), vec![part; 1_001])),
        (&lars, pick(vec![picked.clone(), picked.clone()])),
        (&lars, pick(vec![picked; 1_001])),
        (&lars, pick(vec![ShippedLine { line_id: line.line_id.clone(), picked_milli: i64::MAX, short_reason: 0 }])),
        (&lars, check(vec![scan.clone(); 2_001])),
        (&lars, check(vec![Scan { barcode: "4".repeat(100_000), count: 1 }])),
        (&lars, check(vec![Scan { count: i64::MAX, ..scan.clone() }, Scan { count: i64::MIN, ..scan }])),
        (&lars, deliver(vec![delivered.clone(), delivered.clone()])),
        (&lars, deliver(vec![delivered; 1_001])),
        (&lars, Command::CloseTrip(CloseTrip { trip_id: new(), returned: vec![back; 1_001], ..Default::default() })),
        (&admin, decide(vec![decided.clone(), decided.clone()])),
        (&admin, decide(vec![decided; 1_001])),
    ];
    for (token, command) in attempts {
        prey.refused(token, command).await;
    }
    assert!(prey.documents().await == before);
    prey.house.closes().await;
}
