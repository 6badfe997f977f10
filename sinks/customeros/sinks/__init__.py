"""How state goes out: ClickHouse."""
