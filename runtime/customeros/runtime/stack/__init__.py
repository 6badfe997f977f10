"""The embedded stack: Kafka and ClickHouse's engine from wheels, kept up by a supervisor."""
