//! Which role may call what: the one table. A method that is not in it can't be called by anybody.

use roundsman_proto::auth::Role;

/// Who may call a method, and with what kind of token.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// The method's path, as it stands in the request.
    pub path: &'static str,
    /// Who may call it.
    pub who: Who,
    /// The token must have been issued to a device.
    pub needs_device: bool,
    /// A revoked device may call it still: what its user captured is not thrown away, but goes to quarantine.
    pub while_revoked: bool,
}

/// Who may call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody, without a token.
    Anybody,
    /// Users with one of these roles.
    Roles(&'static [Role]),
}

const ADMIN: Who = Who::Roles(&[Role::Admin]);
const REPLICA: Who = Who::Roles(&[Role::Rep, Role::Supervisor, Role::Driver]);
const LOGISTICS: Who = Who::Roles(&[Role::Logistics, Role::Office, Role::Admin]);
const SUPERVISION: Who = Who::Roles(&[Role::Supervisor, Role::Office, Role::Admin]);
const OFFICE: Who = Who::Roles(&[Role::Office, Role::Admin]);
// Each command has its own rule on top.
const DESK: Who = Who::Roles(&[Role::Supervisor, Role::Logistics, Role::Office, Role::Admin, Role::Integration]);

const RULES: &[Rule] = &[
    rule("/roundsman.sync.v1.SyncService/Pull", REPLICA).on_a_device(),
    rule("/roundsman.sync.v1.SyncService/Push", REPLICA).on_a_device().while_revoked(),
    rule("/roundsman.auth.v1.AuthService/ClaimServer", Who::Anybody),
    rule("/roundsman.auth.v1.AuthService/Login", Who::Anybody),
    rule("/roundsman.auth.v1.AuthService/Refresh", Who::Anybody),
    rule("/roundsman.auth.v1.AuthService/Logout", Who::Anybody),
    rule("/roundsman.admin.v1.AdminService/CreateUser", ADMIN),
    rule("/roundsman.admin.v1.AdminService/ListUsers", ADMIN),
    rule("/roundsman.admin.v1.AdminService/ListDevices", ADMIN),
    rule("/roundsman.admin.v1.QuarantineService/ListQuarantinedCommands", ADMIN),
    rule("/roundsman.admin.v1.QuarantineService/GetQuarantinedCommand", ADMIN),
    rule("/roundsman.admin.v1.QuarantineService/ReplayQuarantinedCommand", ADMIN),
    rule("/roundsman.admin.v1.QuarantineService/DiscardQuarantinedCommand", ADMIN),
    rule("/roundsman.admin.v1.InspectService/GetDevice", ADMIN),
    rule("/roundsman.admin.v1.InspectService/GetRecord", ADMIN),
    rule("/roundsman.admin.v1.InspectService/ListRecordHistory", ADMIN),
    rule("/roundsman.admin.v1.InspectService/GetBucket", ADMIN),
    rule("/roundsman.admin.v1.InspectService/ListHolders", ADMIN),
    rule("/roundsman.admin.v1.InspectService/ExplainOrder", ADMIN),
    rule("/roundsman.admin.v1.OfficeService/Execute", DESK),
    rule("/roundsman.admin.v1.OfficeService/ListDuplicateOutlets", OFFICE),
    rule("/roundsman.admin.v1.OfficeService/ListDuplicateCustomers", OFFICE),
    rule("/roundsman.admin.v1.OfficeService/ListPrices", OFFICE),
    rule("/roundsman.admin.v1.OfficeService/CountPriceListHolders", OFFICE),
    rule("/roundsman.logistics.v1.LogisticsService/ListOrders", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ListShipments", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ListChangeRequests", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/AnswerChangeRequest", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ReleaseOrder", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/PrepareShipment", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ShipShipment", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/DeliverShipment", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/StartWave", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/GetWave", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ListWaves", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/PickShipment", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/CheckShipment", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/CancelShipment", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/CloseOrder", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ListReclamations", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/CountReclamations", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ReviewClaim", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/DecideClaim", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/SettleClaim", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ListGoodsReturns", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ListStockTransfers", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ListStockCounts", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ListVehicles", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ListTrips", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/ProposeTrips", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/PlanTrip", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/LoadShipment", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/DepartTrip", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/CloseTrip", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/CancelTrip", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/RenderPaper", LOGISTICS),
    rule("/roundsman.logistics.v1.LogisticsService/WatchChanges", LOGISTICS),
    rule("/roundsman.supervision.v1.SupervisionService/WatchCoverage", SUPERVISION),
    rule("/roundsman.supervision.v1.SupervisionService/ListVisits", SUPERVISION),
    rule("/roundsman.supervision.v1.SupervisionService/ListOutboxes", SUPERVISION),
    // Load balancers ask without a token; the protocol is published anyway.
    rule("/grpc.health.v1.Health/Check", Who::Anybody),
    rule("/grpc.health.v1.Health/Watch", Who::Anybody),
    rule("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Who::Anybody),
    rule("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Who::Anybody),
];

const fn rule(path: &'static str, who: Who) -> Rule {
    Rule { path, who, needs_device: false, while_revoked: false }
}

impl Rule {
    const fn on_a_device(self) -> Self {
        Self { needs_device: true, ..self }
    }

    const fn while_revoked(self) -> Self {
        Self { while_revoked: true, ..self }
    }
}

impl Who {
    /// Whether a user with this role may call the method.
    #[must_use]
    pub fn includes(self, role: Role) -> bool {
        match self {
            Self::Anybody => true,
            Self::Roles(roles) => roles.contains(&role),
        }
    }
}

/// The rule of a method; `None`: nobody may call it.
#[must_use]
pub fn find(path: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.path == path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;

    use super::*;

    // The few fields of google.protobuf.FileDescriptorSet that name the methods.
    #[derive(Message)]
    struct Files {
        #[prost(message, repeated, tag = "1")]
        files: Vec<File>,
    }
    #[derive(Message)]
    struct File {
        #[prost(string, tag = "2")]
        package: String,
        #[prost(message, repeated, tag = "6")]
        services: Vec<Service>,
    }
    #[derive(Message)]
    struct Service {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(message, repeated, tag = "2")]
        methods: Vec<Method>,
    }
    #[derive(Message)]
    struct Method {
        #[prost(string, tag = "1")]
        name: String,
    }

    fn methods() -> BTreeSet<String> {
        let set = Files::decode(roundsman_proto::FILE_DESCRIPTOR_SET).expect("the build made it");
        let mut paths = BTreeSet::new();
        for file in set.files {
            for service in file.services {
                for method in service.methods {
                    paths.insert(format!("/{}.{}/{}", file.package, service.name, method.name));
                }
            }
        }
        paths
    }

    #[test]
    fn every_method_has_a_rule_and_every_rule_a_method() {
        let methods = methods();
        assert!(methods.len() >= 18, "the descriptor set was not read: {methods:?}");
        for path in &methods {
            assert!(find(path).is_some(), "{path} has no rule; add one to RULES");
        }
        for rule in RULES {
            let ours = rule.path.starts_with("/roundsman.");
            assert!(!ours || methods.contains(rule.path), "{} is the rule of no method", rule.path);
        }
        let paths: BTreeSet<&str> = RULES.iter().map(|rule| rule.path).collect();
        assert_eq!(paths.len(), RULES.len(), "a method has two rules");
    }

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        assert_eq!(find("/roundsman.admin.v1.AdminService/DropEverything"), None);
        assert_eq!(find("/roundsman.sync.v1.SyncService/Pull/"), None);
        assert_eq!(find("//roundsman.sync.v1.SyncService/Pull"), None);
        assert_eq!(find(""), None);
    }

    #[test]
    fn only_logging_in_and_what_says_nothing_needs_no_token() {
        for rule in RULES {
            let open = ["/roundsman.auth.v1.", "/grpc.health.v1.", "/grpc.reflection."];
            let may_be_open = open.iter().any(|prefix| rule.path.starts_with(prefix));
            assert!(rule.who != Who::Anybody || may_be_open, "{} needs no token", rule.path);
            assert!(!rule.who.includes(Role::Unspecified) || rule.who == Who::Anybody, "{}", rule.path);
            let push = rule.path.ends_with("/Push");
            assert_eq!(rule.while_revoked, push, "{} is open to revoked devices", rule.path);
        }
    }
}
