-- Projections: what the office, the ERP and BI read with SQL. Each row is a pure function of one record, is written in the
-- same transaction, and can be made anew at any time.
--
-- Names and units are those of the documents: money in minor units, quantities in thousandths of the base unit, days since
-- 1970-01-01, moments in microseconds since the Unix epoch, states and reasons by their numbers in the protocol. A day, a
-- moment or a number that is not set is 0 as in the document; an id that is not set is NULL. A truth value is 0 or 1. A set
-- (flags, open holds) is a sum of bits: 2 to the power of each member's number.

CREATE TABLE sales_order (
    tenant              BIGINT NOT NULL,
    id                  UUID   NOT NULL,
    outlet              UUID,
    customer            UUID,
    agreement           UUID,
    rep                 UUID,
    visit               UUID,
    order_day           BIGINT NOT NULL,
    delivery_day        BIGINT NOT NULL,
    currency            TEXT   NOT NULL,
    comment             TEXT   NOT NULL,
    status              BIGINT NOT NULL,
    fulfilment          BIGINT NOT NULL,
    exchange            BIGINT NOT NULL,
    open_holds          BIGINT NOT NULL,
    value_minor         BIGINT NOT NULL,
    ordered_value_minor BIGINT NOT NULL,
    submitted_at        BIGINT NOT NULL,
    status_reason       TEXT   NOT NULL,
    broken_promises     BIGINT NOT NULL,
    shipment            UUID,
    booked              BIGINT NOT NULL,
    contract            UUID,
    -- The one that serves it.
    warehouse           UUID,
    -- Something of it can be put into a shipment.
    to_ship             BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX sales_order_by_delivery ON sales_order (tenant, delivery_day, id);
CREATE INDEX sales_order_by_status ON sales_order (tenant, status, delivery_day, id);
CREATE INDEX sales_order_by_warehouse ON sales_order (tenant, warehouse, delivery_day, id);
CREATE INDEX sales_order_by_outlet ON sales_order (tenant, outlet, delivery_day, id);
CREATE INDEX sales_order_by_customer ON sales_order (tenant, customer, delivery_day, id);

-- Lines are numbered from 1 in their document's order; `line` is the line's id, which never changes.
CREATE TABLE sales_order_line (
    tenant            BIGINT NOT NULL,
    sales_order       UUID   NOT NULL,
    line_number       BIGINT NOT NULL,
    line              UUID,
    product           UUID,
    packaging_code    TEXT   NOT NULL,
    coefficient_milli BIGINT NOT NULL,
    ordered_milli     BIGINT NOT NULL,
    confirmed_milli   BIGINT NOT NULL,
    shipped_milli     BIGINT NOT NULL,
    delivered_milli   BIGINT NOT NULL,
    refused_milli     BIGINT NOT NULL,
    price             UUID,
    price_version     BIGINT NOT NULL,
    shown_price_minor BIGINT NOT NULL,
    price_minor       BIGINT NOT NULL,
    discount_bp       BIGINT NOT NULL,
    vat_bp            BIGINT NOT NULL,
    amount_minor      BIGINT NOT NULL,
    vat_minor         BIGINT NOT NULL,
    difference        BIGINT NOT NULL,
    substitutes_line  UUID,
    PRIMARY KEY (tenant, sales_order, line_number)
) /* WITHOUT ROWID */;

CREATE TABLE visit (
    tenant              BIGINT NOT NULL,
    id                  UUID   NOT NULL,
    outlet              UUID,
    rep                 UUID,
    visit_day           BIGINT NOT NULL,
    state               BIGINT NOT NULL,
    planned             BIGINT NOT NULL,
    route               UUID,
    route_sequence      BIGINT NOT NULL,
    window_from_s       BIGINT NOT NULL,
    window_to_s         BIGINT NOT NULL,
    productive          BIGINT NOT NULL,
    unproductive_reason BIGINT NOT NULL,
    comment             TEXT   NOT NULL,
    rescheduled_to_day  BIGINT NOT NULL,
    checked_in_at       BIGINT NOT NULL,
    checked_out_at      BIGINT NOT NULL,
    -- NULL: no position.
    check_in_latitude_e7  BIGINT,
    check_in_longitude_e7 BIGINT,
    -- NULL: not known.
    distance_m          BIGINT,
    flags               BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX visit_by_day ON visit (tenant, visit_day, id);
CREATE INDEX visit_by_day_and_rep ON visit (tenant, visit_day, rep, id);

CREATE TABLE shipment (
    tenant       BIGINT NOT NULL,
    id           UUID   NOT NULL,
    sales_order  UUID,
    outlet       UUID,
    warehouse    UUID,
    state        BIGINT NOT NULL,
    shipped_at   BIGINT NOT NULL,
    delivered_at BIGINT NOT NULL,
    received_by  TEXT   NOT NULL,
    reclamation  UUID,
    comment      TEXT   NOT NULL,
    wave         UUID,
    trip         UUID,
    prepared_at  BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX shipment_by_delivery ON shipment (tenant, delivered_at) WHERE delivered_at > 0;
CREATE INDEX shipment_by_preparation ON shipment (tenant, prepared_at, id);
CREATE INDEX shipment_by_state ON shipment (tenant, state, prepared_at, id);
CREATE INDEX shipment_by_warehouse ON shipment (tenant, warehouse, prepared_at, id);
CREATE INDEX shipment_by_outlet ON shipment (tenant, outlet, prepared_at, id);
CREATE INDEX shipment_by_wave ON shipment (tenant, wave, prepared_at, id) WHERE wave IS NOT NULL;
CREATE INDEX shipment_by_trip ON shipment (tenant, trip, prepared_at, id) WHERE trip IS NOT NULL;
CREATE INDEX shipment_without_trip ON shipment (tenant, prepared_at, id) WHERE trip IS NULL;

CREATE TABLE wave (
    tenant       BIGINT NOT NULL,
    id           UUID   NOT NULL,
    name         TEXT   NOT NULL,
    warehouse    UUID,
    state        BIGINT NOT NULL,
    orders       BIGINT NOT NULL,
    departure_at BIGINT NOT NULL,
    started_at   BIGINT NOT NULL,
    allocated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX wave_by_start ON wave (tenant, started_at, id);
CREATE INDEX wave_by_state ON wave (tenant, state, started_at, id);
CREATE INDEX wave_by_warehouse ON wave (tenant, warehouse, started_at, id);

CREATE TABLE vehicle (
    tenant         BIGINT NOT NULL,
    id             UUID   NOT NULL,
    name           TEXT   NOT NULL,
    plate          TEXT   NOT NULL,
    warehouse      UUID,
    max_weight_g   BIGINT NOT NULL,
    max_volume_cm3 BIGINT NOT NULL,
    out_of_use     BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;

CREATE TABLE trip (
    tenant       BIGINT NOT NULL,
    id           UUID   NOT NULL,
    trip_day     BIGINT NOT NULL,
    state        BIGINT NOT NULL,
    vehicle      UUID,
    driver       UUID,
    warehouse    UUID,
    stops        BIGINT NOT NULL,
    weight_g     BIGINT NOT NULL,
    volume_cm3   BIGINT NOT NULL,
    departure_at BIGINT NOT NULL,
    departed_at  BIGINT NOT NULL,
    closed_at    BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX trip_by_day ON trip (tenant, trip_day, id);

-- What left with a closed trip and what became of it, product by product.
CREATE TABLE trip_goods (
    tenant              BIGINT NOT NULL,
    trip                UUID   NOT NULL,
    line_number         BIGINT NOT NULL,
    product             UUID,
    shipped_milli       BIGINT NOT NULL,
    delivered_milli     BIGINT NOT NULL,
    refused_milli       BIGINT NOT NULL,
    missing_milli       BIGINT NOT NULL,
    not_attempted_milli BIGINT NOT NULL,
    sellable_milli      BIGINT NOT NULL,
    unsellable_milli    BIGINT NOT NULL,
    PRIMARY KEY (tenant, trip, line_number)
) /* WITHOUT ROWID */;

CREATE TABLE shipment_line (
    tenant          BIGINT NOT NULL,
    shipment        UUID   NOT NULL,
    line_number     BIGINT NOT NULL,
    -- The same as the id of the order's line.
    line            UUID,
    product         UUID,
    ordered_milli   BIGINT NOT NULL,
    picked_milli    BIGINT NOT NULL,
    short_reason    BIGINT NOT NULL,
    loaded_milli    BIGINT NOT NULL,
    delivered_milli BIGINT NOT NULL,
    refused_milli   BIGINT NOT NULL,
    refusal_reason  BIGINT NOT NULL,
    -- The order whose line it is: a shipment may be of several.
    sales_order     UUID,
    PRIMARY KEY (tenant, shipment, line_number)
) /* WITHOUT ROWID */;
CREATE INDEX shipment_line_by_order ON shipment_line (tenant, sales_order, shipment);

CREATE TABLE payment (
    tenant         BIGINT NOT NULL,
    id             UUID   NOT NULL,
    outlet         UUID,
    customer       UUID,
    rep            UUID,
    sales_order    UUID,
    amount_minor   BIGINT NOT NULL,
    currency       TEXT   NOT NULL,
    payment_method BIGINT NOT NULL,
    receipt_number TEXT   NOT NULL,
    taken_at       BIGINT NOT NULL,
    advance_minor  BIGINT NOT NULL,
    booked         BIGINT NOT NULL,
    flags          BIGINT NOT NULL,
    contract       UUID,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX payment_by_customer ON payment (tenant, customer, taken_at);

CREATE TABLE payment_allocation (
    tenant          BIGINT NOT NULL,
    payment         UUID   NOT NULL,
    line_number     BIGINT NOT NULL,
    document_number TEXT   NOT NULL,
    sales_order     UUID,
    due_day         BIGINT NOT NULL,
    amount_minor    BIGINT NOT NULL,
    PRIMARY KEY (tenant, payment, line_number)
) /* WITHOUT ROWID */;

CREATE TABLE cash_hand_in (
    tenant                  BIGINT NOT NULL,
    id                      UUID   NOT NULL,
    rep                     UUID,
    team                    UUID,
    currency                TEXT   NOT NULL,
    business_day            BIGINT NOT NULL,
    state                   BIGINT NOT NULL,
    expected_minor          BIGINT NOT NULL,
    counted_minor           BIGINT NOT NULL,
    difference_minor        BIGINT NOT NULL,
    payments                BIGINT NOT NULL,
    note                    TEXT   NOT NULL,
    handed_in_at            BIGINT NOT NULL,
    confirmed_minor         BIGINT,
    office_difference_minor BIGINT,
    office_note             TEXT   NOT NULL,
    confirmed_at            BIGINT NOT NULL,
    confirmed_by            UUID,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX cash_hand_in_by_rep ON cash_hand_in (tenant, rep, business_day);

CREATE TABLE receivable (
    tenant        BIGINT NOT NULL,
    id            UUID   NOT NULL,
    customer      UUID,
    currency      TEXT   NOT NULL,
    debt_minor    BIGINT NOT NULL,
    overdue_minor BIGINT NOT NULL,
    as_of         BIGINT NOT NULL,
    contract      UUID,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX receivable_by_customer ON receivable (tenant, customer);

CREATE TABLE contract (
    tenant             BIGINT NOT NULL,
    id                 UUID   NOT NULL,
    contract_number    TEXT   NOT NULL,
    customer           UUID,
    currency           TEXT   NOT NULL,
    -- 0: no beginning, no end.
    valid_from_day     BIGINT NOT NULL,
    valid_to_day       BIGINT NOT NULL,
    -- NULL: unlimited.
    credit_limit_minor BIGINT,
    overdue_ban        BIGINT NOT NULL,
    successor          UUID,
    closed             BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX contract_by_customer ON contract (tenant, customer);

CREATE TABLE reclamation (
    tenant           BIGINT NOT NULL,
    id               UUID   NOT NULL,
    outlet           UUID,
    customer         UUID,
    rep              UUID,
    sales_order      UUID,
    shipment         UUID,
    cause            BIGINT NOT NULL,
    state            BIGINT NOT NULL,
    complaint        TEXT   NOT NULL,
    needs_review     BIGINT NOT NULL,
    filed_at         BIGINT NOT NULL,
    case_reclamation UUID,
    flags            BIGINT NOT NULL,
    department       TEXT   NOT NULL,
    stage_since      BIGINT NOT NULL,
    accepted_minor   BIGINT NOT NULL,
    currency         TEXT   NOT NULL,
    settlement       BIGINT NOT NULL,
    settled_minor    BIGINT NOT NULL,
    claim_cause      UUID,
    due_day          BIGINT NOT NULL,
    due_at           BIGINT NOT NULL,
    escalates_at     BIGINT NOT NULL,
    escalation_level BIGINT NOT NULL,
    escalated_at     BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX reclamation_by_state ON reclamation (tenant, state, filed_at, id);
-- Closed ones are due at 0, and stand before all others.
CREATE INDEX reclamation_by_due ON reclamation (tenant, due_at, filed_at, id);
CREATE INDEX reclamation_by_escalation ON reclamation (tenant, escalates_at, id);
CREATE INDEX reclamation_by_filing ON reclamation (tenant, filed_at, id);
CREATE INDEX reclamation_by_order ON reclamation (tenant, sales_order, filed_at, id);

CREATE TABLE reclamation_line (
    tenant         BIGINT NOT NULL,
    reclamation    UUID   NOT NULL,
    line_number    BIGINT NOT NULL,
    line           UUID,
    product        UUID,
    shipment_line  UUID,
    claimed_milli  BIGINT NOT NULL,
    accepted_milli BIGINT NOT NULL,
    accepted_minor BIGINT NOT NULL,
    PRIMARY KEY (tenant, reclamation, line_number)
) /* WITHOUT ROWID */;

CREATE TABLE change_request (
    tenant      BIGINT NOT NULL,
    id          UUID   NOT NULL,
    sales_order UUID,
    outlet      UUID,
    asked_by    UUID,
    asked_at    BIGINT NOT NULL,
    cancels     BIGINT NOT NULL,
    state       BIGINT NOT NULL,
    answered_by UUID,
    answered_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX change_request_by_state ON change_request (tenant, state, asked_at, id);
CREATE INDEX change_request_by_order ON change_request (tenant, sales_order, asked_at, id);

CREATE TABLE goods_return (
    tenant       BIGINT NOT NULL,
    id           UUID   NOT NULL,
    shipment     UUID,
    outlet       UUID,
    customer     UUID,
    contract     UUID,
    currency     TEXT   NOT NULL,
    origin       BIGINT NOT NULL,
    state        BIGINT NOT NULL,
    reclamation  UUID,
    warehouse    UUID,
    value_minor  BIGINT NOT NULL,
    booked       BIGINT NOT NULL,
    announced_at BIGINT NOT NULL,
    received_at  BIGINT NOT NULL,
    -- The second of these, or, as long as it is 0, the first.
    reported_at  BIGINT NOT NULL,
    received_by  UUID,
    comment      TEXT   NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
-- Warehouses are few, and compared.
CREATE INDEX goods_return_by_report ON goods_return (tenant, reported_at, id);
CREATE INDEX goods_return_by_state ON goods_return (tenant, state, reported_at, id);
CREATE INDEX goods_return_by_outlet ON goods_return (tenant, outlet, reported_at, id);
CREATE INDEX goods_return_by_customer ON goods_return (tenant, customer, reported_at, id);
CREATE INDEX goods_return_by_shipment ON goods_return (tenant, shipment, reported_at, id);

CREATE TABLE stock_transfer (
    tenant         BIGINT NOT NULL,
    id             UUID   NOT NULL,
    from_warehouse UUID,
    to_warehouse   UUID,
    moved_at       BIGINT NOT NULL,
    moved_by       UUID,
    comment        TEXT   NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX stock_transfer_by_move ON stock_transfer (tenant, moved_at, id);

CREATE TABLE stock_count (
    tenant     BIGINT NOT NULL,
    id         UUID   NOT NULL,
    warehouse  UUID,
    rep        UUID,
    counted_at BIGINT NOT NULL,
    counted_by UUID,
    comment    TEXT   NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX stock_count_by_count ON stock_count (tenant, counted_at, id);

CREATE TABLE survey_response (
    tenant         BIGINT NOT NULL,
    id             UUID   NOT NULL,
    survey         UUID,
    survey_version BIGINT NOT NULL,
    outlet         UUID,
    visit          UUID,
    rep            UUID,
    answered_at    BIGINT NOT NULL,
    flags          BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX survey_response_by_survey ON survey_response (tenant, survey, answered_at);

CREATE TABLE outlet (
    tenant         BIGINT NOT NULL,
    id             UUID   NOT NULL,
    name           TEXT   NOT NULL,
    address        TEXT   NOT NULL,
    -- NULL: not known.
    latitude_e7    BIGINT,
    longitude_e7   BIGINT,
    visit_radius_m BIGINT NOT NULL,
    outlet_class   BIGINT NOT NULL,
    status         BIGINT NOT NULL,
    territory      UUID,
    customer       UUID,
    chain          UUID,
    blocked        BIGINT NOT NULL,
    blocked_reason TEXT   NOT NULL,
    tax_id         TEXT   NOT NULL,
    comment        TEXT   NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX outlet_by_territory ON outlet (tenant, territory);

CREATE TABLE chain (
    tenant BIGINT NOT NULL,
    id     UUID   NOT NULL,
    name   TEXT   NOT NULL,
    -- NULL: a root.
    parent UUID,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;

CREATE TABLE rep (
    tenant  BIGINT NOT NULL,
    id      UUID   NOT NULL,
    name    TEXT   NOT NULL,
    team    UUID,
    user_id UUID,
    status  BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
CREATE INDEX rep_by_team ON rep (tenant, team);

CREATE TABLE claim_cause (
    tenant             BIGINT NOT NULL,
    id                 UUID   NOT NULL,
    name               TEXT   NOT NULL,
    parent             UUID,
    cause              BIGINT NOT NULL,
    withdrawn_from_day BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;

CREATE TABLE product (
    tenant    BIGINT NOT NULL,
    id        UUID   NOT NULL,
    name      TEXT   NOT NULL,
    code      TEXT   NOT NULL,
    supplier  TEXT   NOT NULL,
    withdrawn BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
) /* WITHOUT ROWID */;
