"""The shells: processors of the runtime around the pure packages."""
