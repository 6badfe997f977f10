"""ClickHouse's engine (chDB) behind ClickHouse's HTTP protocol; any ordinary client will do."""
