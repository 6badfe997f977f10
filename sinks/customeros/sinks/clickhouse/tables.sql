-- Tables and views of the sink's database. Every statement may run again at any start; a change
-- is appended as ALTER TABLE … ADD COLUMN IF NOT EXISTS, and the views are replaced.
--
-- Absent text is '', an absent number or time is NULL; money is in minor units of its currency.
-- _partition and _offset are the record's place in its topic: what is delivered twice has one
-- sort key (or one version), so FINAL in a view shows it once.

CREATE TABLE IF NOT EXISTS events_log (
    workspace LowCardinality(String),
    event_id String,
    source LowCardinality(String),
    family LowCardinality(String),
    kind LowCardinality(String),
    name LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    received_at DateTime64(3, 'UTC'),
    identifier_key String,
    resolved_customer_id String,
    resolved_version UInt64,
    account_id String,
    order_id String,
    order_action LowCardinality(String),
    amount Nullable(Int64),
    currency LowCardinality(String),
    lines Array(Tuple(
        product_id String, sku Nullable(String), name Nullable(String),
        quantity Int64, unit_price Nullable(Int64))),
    channel LowCardinality(String),
    direction LowCardinality(String),
    conversation_id String,
    consent Map(String, Bool),
    enrichment Map(LowCardinality(String), String),
    identifiers Array(Tuple(type LowCardinality(String), value String)),
    traits Map(String, String),
    properties String CODEC(ZSTD(1)),
    context String CODEC(ZSTD(1)),
    author String,
    text String CODEC(ZSTD(1)),
    _topic LowCardinality(String),
    _partition UInt32,
    _offset UInt64,
    _inserted_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_event_id event_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = ReplacingMergeTree
-- By year: a batch of imported history is a part for each partition, and at most 100 are allowed.
PARTITION BY toYear(occurred_at)
ORDER BY (workspace, identifier_key, occurred_at, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

-- Where an identifier belongs now; only those that ever moved have a row.
CREATE TABLE IF NOT EXISTS assignments_log (
    workspace LowCardinality(String),
    key String,
    type LowCardinality(String),
    customer_id String,
    version UInt64,
    deleted Bool,
    _partition UInt32,
    _offset UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (workspace, key)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

-- The newest state of every customer. Deleted rows stay: an older version that comes late must
-- not bring a customer back. Small granules, since people look up one customer.
CREATE TABLE IF NOT EXISTS customers_log (
    workspace LowCardinality(String),
    customer_id String,
    version UInt64,
    status LowCardinality(String),
    merged_into String,
    updated_at DateTime64(3, 'UTC'),
    first_seen_at Nullable(DateTime64(3, 'UTC')),
    last_seen_at Nullable(DateTime64(3, 'UTC')),
    email String,
    name String,
    phone String,
    events Int64,
    orders Int64,
    refunds Int64,
    cancellations Int64,
    items Int64,
    messages_in Int64,
    messages_out Int64,
    spent Map(LowCardinality(String), Int64),
    placed Map(LowCardinality(String), Int64),
    refunded Map(LowCardinality(String), Int64),
    cancelled Map(LowCardinality(String), Int64),
    traits JSON(max_dynamic_paths = 256),
    metrics JSON(max_dynamic_paths = 64),
    days Map(String, Int64),
    consent Map(String, Bool),
    identifiers Array(Tuple(
        type LowCardinality(String), value String, key String, source LowCardinality(String),
        first_seen_at DateTime64(3, 'UTC'), last_seen_at DateTime64(3, 'UTC'))),
    products Array(String),
    channels Array(String),
    accounts Array(String),
    first_touch Map(String, String),
    last_touch Map(String, String),
    _partition UInt32,
    _offset UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (workspace, customer_id)
SETTINGS index_granularity = 256, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

-- Who holds an identifier: the customer it came to last, as that customer's newest state has it.
CREATE TABLE IF NOT EXISTS identifiers_log (
    workspace LowCardinality(String),
    type LowCardinality(String),
    value String,
    key String,
    customer_id String,
    source LowCardinality(String),
    first_seen_at DateTime64(3, 'UTC'),
    last_seen_at DateTime64(3, 'UTC'),
    since UInt64,
    version UInt64,
    _partition UInt32,
    _offset UInt64,
    _rank UInt128 MATERIALIZED bitOr(bitShiftLeft(toUInt128(since), 64), toUInt128(version))
)
ENGINE = ReplacingMergeTree(_rank)
ORDER BY (workspace, type, value)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

ALTER TABLE customers_log ADD COLUMN IF NOT EXISTS memberships Array(Tuple(
    account_id String, role Nullable(String),
    since DateTime64(3, 'UTC'), last_seen_at DateTime64(3, 'UTC'))) AFTER last_touch;

-- The newest state of every organisation; members are the customers last seen.
CREATE TABLE IF NOT EXISTS accounts_log (
    workspace LowCardinality(String),
    account_id String,
    version UInt64,
    status LowCardinality(String),
    parent String,
    updated_at DateTime64(3, 'UTC'),
    first_seen_at Nullable(DateTime64(3, 'UTC')),
    last_seen_at Nullable(DateTime64(3, 'UTC')),
    name String,
    subsidiaries Array(String),
    subsidiary_count Int64,
    members Array(String),
    member_count Int64,
    events Int64,
    orders Int64,
    refunds Int64,
    cancellations Int64,
    items Int64,
    messages_in Int64,
    messages_out Int64,
    spent Map(LowCardinality(String), Int64),
    placed Map(LowCardinality(String), Int64),
    refunded Map(LowCardinality(String), Int64),
    cancelled Map(LowCardinality(String), Int64),
    traits JSON(max_dynamic_paths = 256),
    metrics JSON(max_dynamic_paths = 64),
    days Map(String, Int64),
    _partition UInt32,
    _offset UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (workspace, account_id)
SETTINGS index_granularity = 256, non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

-- The best evidence for each pair of identifiers; b is '' where a alone is quarantined.
CREATE TABLE IF NOT EXISTS links_log (
    workspace LowCardinality(String),
    a String,
    b String,
    a_type LowCardinality(String),
    b_type LowCardinality(String),
    strength Int64,
    rule LowCardinality(String),
    source LowCardinality(String),
    event_id String,
    occurred_at DateTime64(3, 'UTC'),
    change_id String,
    refused LowCardinality(String),
    detail String,
    version UInt64,
    deleted Bool,
    _partition UInt32,
    _offset UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (workspace, a, b)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

CREATE TABLE IF NOT EXISTS dead_letters_log (
    workspace LowCardinality(String),
    source LowCardinality(String),
    stage LowCardinality(String),
    reason LowCardinality(String),
    detail String,
    failed_at DateTime64(3, 'UTC'),
    origin_topic LowCardinality(String),
    origin_partition Nullable(Int64),
    origin_offset Nullable(Int64),
    key String,
    value String CODEC(ZSTD(1)),
    _partition UInt32,
    _offset UInt64
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(failed_at)
ORDER BY (workspace, source, failed_at, _partition, _offset)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1;

-- Each event once, with the customer it belongs to now. An event that was resolved by a newer
-- assignment than has arrived here keeps the customer it came with.
CREATE OR REPLACE VIEW events AS
SELECT
    e.workspace AS workspace,
    if(a.version > 0 AND a.version >= e.resolved_version, a.customer_id, e.resolved_customer_id)
        AS customer_id,
    e.event_id AS event_id,
    e.source AS source,
    e.family AS family,
    e.kind AS kind,
    e.name AS name,
    e.occurred_at AS occurred_at,
    e.received_at AS received_at,
    e.identifier_key AS identifier_key,
    e.account_id AS account_id,
    e.order_id AS order_id,
    e.order_action AS order_action,
    e.amount AS amount,
    e.currency AS currency,
    e.lines AS lines,
    e.channel AS channel,
    e.direction AS direction,
    e.conversation_id AS conversation_id,
    e.consent AS consent,
    e.enrichment AS enrichment,
    e.identifiers AS identifiers,
    e.traits AS traits,
    e.properties AS properties,
    e.context AS context,
    e.author AS author,
    e.text AS text,
    e._topic AS _topic,
    e._partition AS _partition,
    e._offset AS _offset
FROM events_log AS e FINAL
LEFT ANY JOIN (
    SELECT workspace, key, customer_id, version FROM assignments_log FINAL WHERE NOT deleted
) AS a ON e.workspace = a.workspace AND e.identifier_key = a.key;

CREATE OR REPLACE VIEW customers AS
SELECT * EXCEPT (status, merged_into, _partition, _offset)
FROM customers_log FINAL
WHERE status = 'active';

CREATE OR REPLACE VIEW identifiers AS
SELECT * EXCEPT (since, version, _partition, _offset)
FROM identifiers_log FINAL
WHERE (workspace, customer_id) IN (
    SELECT workspace, customer_id FROM customers_log FINAL WHERE status = 'active'
);

CREATE OR REPLACE VIEW accounts AS
SELECT * EXCEPT (status, _partition, _offset)
FROM accounts_log FINAL
WHERE status = 'active';

-- Who belongs to which organisation, as the customers have it: all of them.
CREATE OR REPLACE VIEW account_members AS
SELECT
    workspace,
    m.account_id AS account_id,
    customer_id,
    name,
    email,
    m.role AS role,
    m.since AS since,
    m.last_seen_at AS last_seen_at
FROM customers_log FINAL
ARRAY JOIN memberships AS m
WHERE status = 'active';

CREATE OR REPLACE VIEW dead_letters AS
SELECT * FROM dead_letters_log FINAL;

CREATE OR REPLACE VIEW links AS
SELECT * EXCEPT (deleted, _partition, _offset)
FROM links_log FINAL
WHERE NOT deleted;

-- Evidence that joined nobody, and what would resolve it.
CREATE OR REPLACE VIEW conflicts AS
SELECT
    workspace,
    fromUnixTimestamp64Milli(toInt64(version), 'UTC') AS at,
    refused AS reason,
    detail,
    a, a_type, b, b_type, strength, rule, source, event_id, occurred_at,
    multiIf(
        refused = 'limit', concat('a higher limit for ', detail, ', or a split'),
        refused = 'cut', concat('customeros undo ', detail),
        refused = 'quarantined', concat('its erasure; a higher degree for ', detail, ' spares the next'),
        'other rules') AS remedy
FROM links_log FINAL
WHERE NOT deleted AND refused NOT IN ('', 'weak');
