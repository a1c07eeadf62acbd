-- The common schema. Types are PostgreSQL's names; SQLite takes them as they are. The tenant leads every key, so that the
-- same schema can be distributed by tenant. `/* WITHOUT ROWID */` is switched on for SQLite, where it
-- halves the reads of narrow rows; records are wide, and searching their tree would read the documents on the way.

CREATE TABLE tenant (
    id             BIGINT NOT NULL PRIMARY KEY,
    name           TEXT   NOT NULL UNIQUE,
    -- Tombstones at or below this version are gone; older positions are planned anew.
    horizon        BIGINT NOT NULL,
    -- The newest format that anybody wrote; an older server refuses to write.
    writer_version BIGINT NOT NULL,
    -- Everything up to this version survives the loss of the server.
    durable_version BIGINT NOT NULL
);

-- One row for each committed batch.
CREATE TABLE commit_point (
    tenant  BIGINT NOT NULL,
    version BIGINT NOT NULL,
    nonce   BIGINT NOT NULL,
    at_us   BIGINT NOT NULL,
    PRIMARY KEY (tenant, version)
) /* WITHOUT ROWID */;

-- The truth: one row for each record. A removed record keeps its row with an empty document, for ever: that is why
-- nothing is resurrected. Internal records have kinds of 1000 and above.
CREATE TABLE record (
    tenant     BIGINT NOT NULL,
    id         UUID   NOT NULL,
    kind       BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    document   BYTEA  NOT NULL,
    stamps     BYTEA  NOT NULL,
    removed_at BIGINT,
    survivor   UUID,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX record_by_kind ON record (tenant, kind, id);

-- What each commit has changed of what logistics' apps watch: orders, shipments, reclamations, change requests, waves,
-- trips and returns of goods.
CREATE TABLE record_change (
    tenant  BIGINT NOT NULL,
    version BIGINT NOT NULL,
    record  UUID   NOT NULL,
    kind    BIGINT NOT NULL,
    PRIMARY KEY (tenant, version, record)
) /* WITHOUT ROWID */;

-- A bucket: all records of one kind in one scope.
CREATE TABLE bucket (
    tenant       BIGINT NOT NULL,
    id           BIGINT NOT NULL,
    scope        TEXT   NOT NULL,
    kind         BIGINT NOT NULL,
    head         BIGINT NOT NULL,
    last_removal BIGINT NOT NULL,
    -- The version that made it: devices at an earlier position do not know its number.
    created      BIGINT NOT NULL,
    live_rows    BIGINT NOT NULL,
    live_bytes   BIGINT NOT NULL,
    checksum     BIGINT NOT NULL,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, scope, kind)
);

-- One row for each record of a bucket, ready to be sent. A removed one leaves a tombstone until the horizon passes it.
CREATE TABLE bucket_row (
    tenant  BIGINT NOT NULL,
    bucket  BIGINT NOT NULL,
    version BIGINT NOT NULL,
    record  UUID   NOT NULL,
    live    BIGINT NOT NULL,
    hash    BIGINT NOT NULL,
    frame   BYTEA  NOT NULL,
    PRIMARY KEY (tenant, bucket, version, record)
) /* WITHOUT ROWID */;
CREATE UNIQUE INDEX bucket_row_by_record ON bucket_row (tenant, record, bucket);

CREATE TABLE device (
    tenant        BIGINT NOT NULL,
    id            UUID   NOT NULL,
    user_id       UUID   NOT NULL,
    name          TEXT   NOT NULL,
    app_version   TEXT   NOT NULL,
    registered_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- What the lane keeps of a device: its last sequence number, for ever.
CREATE TABLE device_sequence (
    tenant     BIGINT NOT NULL,
    device     UUID   NOT NULL,
    last_seq   BIGINT NOT NULL,
    -- The device has stored all outcomes through this number.
    confirmed_seq BIGINT NOT NULL,
    revoked_at BIGINT,
    PRIMARY KEY (tenant, device)
);

-- What was last heard of a device; kept in memory, written now and then. What it never said is NULL.
CREATE TABLE device_contact (
    tenant            BIGINT NOT NULL,
    device            UUID   NOT NULL,
    seen_at           BIGINT NOT NULL,
    clock_offset_us   BIGINT NOT NULL,
    app_version       TEXT   NOT NULL,
    protocol_version  BIGINT NOT NULL,
    -- What waits in its outbox, when it said so, and since when something does.
    outbox_commands   BIGINT,
    outbox_oldest_at  BIGINT,
    outbox_kinds      BYTEA,
    outbox_at         BIGINT,
    outbox_since      BIGINT,
    -- Its last checkpoint, and what its last pull said of what it holds.
    position_version  BIGINT,
    position_nonce    BIGINT,
    pull              BYTEA,
    refused_at        BIGINT,
    refused_reason    TEXT,
    -- When a bucket of it was last mended, and which.
    mended_at         BIGINT,
    mended            TEXT,
    PRIMARY KEY (tenant, device)
);
CREATE INDEX device_contact_waiting ON device_contact (tenant, outbox_oldest_at, device) WHERE outbox_commands > 0;

-- Every command that was decided, with its outcome, for 60 days. The body stays where nothing came of it.
CREATE TABLE command (
    tenant     BIGINT NOT NULL,
    id         UUID   NOT NULL,
    device     UUID,
    seq        BIGINT,
    body_hash  BIGINT NOT NULL,
    outcome    BYTEA  NOT NULL,
    version    BIGINT NOT NULL,
    decided_at BIGINT NOT NULL,
    body       BYTEA,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX command_by_age ON command (tenant, decided_at);
-- Few have a body here: this index is written only for those of which nothing came.
CREATE INDEX command_failed ON command (tenant, device, seq) WHERE body IS NOT NULL;

CREATE TABLE quarantine (
    tenant      BIGINT NOT NULL,
    command     UUID   NOT NULL,
    -- The record that the command is about; others that are about it wait behind.
    target      UUID,
    creates     BIGINT NOT NULL,
    device      UUID,
    seq         BIGINT,
    actor       UUID   NOT NULL,
    captured_at BIGINT NOT NULL,
    business_day BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    body        BYTEA  NOT NULL,
    error       TEXT   NOT NULL,
    PRIMARY KEY (tenant, command)
);
CREATE INDEX quarantine_by_target ON quarantine (tenant, target);

-- Who changed what. One row for each record that a command changed, or in which it lost against another change; one for a
-- whole chunk of a bulk job.
CREATE TABLE history (
    tenant      BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    ordinal     BIGINT NOT NULL,
    record      UUID   NOT NULL,
    command     UUID   NOT NULL,
    command_name TEXT  NOT NULL,
    actor       UUID   NOT NULL,
    device      UUID,
    captured_at BIGINT NOT NULL,
    decided_at  BIGINT NOT NULL,
    request     TEXT   NOT NULL,
    outcome     BYTEA  NOT NULL,
    -- The command's body, on its first row.
    body        BYTEA,
    PRIMARY KEY (tenant, version, ordinal)
);
CREATE INDEX history_by_record ON history (tenant, record, version);

-- What others must hear of, written with the change and sent afterwards.
CREATE TABLE outbox (
    tenant  BIGINT NOT NULL,
    version BIGINT NOT NULL,
    ordinal BIGINT NOT NULL,
    topic   TEXT   NOT NULL,
    record  UUID   NOT NULL,
    PRIMARY KEY (tenant, version, ordinal)
);

CREATE TABLE user_account (
    tenant        BIGINT NOT NULL,
    id            UUID   NOT NULL,
    login         TEXT   NOT NULL,
    password_hash TEXT   NOT NULL,
    role          BIGINT NOT NULL,
    rep           UUID,
    team          UUID,
    created_at    BIGINT NOT NULL,
    disabled_at   BIGINT,
    PRIMARY KEY (tenant, id),
    UNIQUE (tenant, login)
);

-- A login, and the refresh token that is good for it now, hashed.
CREATE TABLE session (
    tenant       BIGINT NOT NULL,
    id           UUID   NOT NULL,
    user_id      UUID   NOT NULL,
    device       UUID,
    token_hash   BYTEA  NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT NOT NULL,
    revoked_at   BIGINT,
    PRIMARY KEY (tenant, id)
);

-- Secrets of the server itself: the keys that sign access tokens, the setup code's hash.
CREATE TABLE server_secret (
    name  TEXT  NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
