"""An application's own live copy of `customer-state`."""
