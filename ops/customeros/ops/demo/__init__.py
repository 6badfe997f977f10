"""`customeros demo`: real customers' events the whole way, then checked against their source."""
