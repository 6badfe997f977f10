-- Events as rows: the records of the topic, in Avro as they are, become columns here. The input has
-- all of the schema `resolved_event`, since ClickHouse takes no part of a record.
INSERT INTO events_log (
    workspace, event_id, source, family, kind, name, occurred_at, received_at, identifier_key,
    resolved_customer_id, resolved_version, account_id, order_id, order_action, amount, currency,
    lines, channel, direction, conversation_id, consent, enrichment, identifiers, traits,
    properties, context, author, text, _topic, _partition, _offset)
SELECT
    value.event.workspace,
    value.event.event_id,
    value.event.source,
    value.event.family,
    value.event.kind,
    value.event.name,
    value.event.occurred_at,
    value.event.received_at,
    value.event.identifier_keys[1],
    value.customer_id,
    accurateCast(value.assignment_version, 'UInt64'),
    value.event.account_id,
    value.event.order.order_id,
    value.event.order.action,
    if(value.event.order.action = '', NULL, value.event.order.total.amount),
    value.event.order.total.currency,
    value.event.order.lines,
    value.event.message.channel,
    value.event.message.direction,
    value.event.message.conversation_id,
    mapFromArrays(value.event.consent.purpose, value.event.consent.granted),
    value.enrichment,
    value.event.personal.identifiers,
    -- Traits that are text come without their JSON quotes.
    mapApply((name, said) -> (
        name,
        if(startsWith(said, '"') AND isValidJSON(said), JSONExtractString(said), said)
    ), value.event.personal.traits),
    if(value.event.personal.properties = '', '{}', value.event.personal.properties),
    if(value.event.personal.context = '', '{}', value.event.personal.context),
    value.event.personal.author,
    value.event.personal.text,
    'events.resolved',
    _partition,
    _offset + throwIf(_offset != _end, 'a record is not as long as its schema says')
FROM input('
    _partition Int64,
    _offset Int64,
    value Tuple(
        event Tuple(
            workspace String,
            source String,
            event_id String,
            family String,
            kind String,
            name String,
            occurred_at DateTime64(3),
            received_at DateTime64(3),
            timestamp Nullable(DateTime64(3)),
            original_timestamp Nullable(DateTime64(3)),
            sent_at Nullable(DateTime64(3)),
            identifier_keys Array(String),
            account_id String,
            order Tuple(
                order_id String,
                action String,
                total Tuple(amount Int64, currency String),
                lines Array(Tuple(
                    product_id String, sku Nullable(String), name Nullable(String),
                    quantity Int64, unit_price Nullable(Int64)))),
            message Tuple(channel String, direction String, conversation_id String),
            consent Array(Tuple(purpose String, granted Bool)),
            personal Tuple(
                identifiers Array(Tuple(type String, value String)),
                traits Map(String, String),
                properties String,
                context String,
                author String,
                text String)),
        customer_id String,
        assignment_version Int64,
        enrichment Map(String, String)),
    _end Int64')
FORMAT Avro
