"""An application's own live copy of `customer-state`: look-ups in memory, changes as they come."""

from customeros.sdk.changes import Change
from customeros.sdk.customers import CustomerChange, CustomerStates
from customeros.sdk.livecopy import LiveCopy, LiveCopyFailed
from customeros.sdk.lookup import Customers, Found

__all__ = [
    "Change",
    "CustomerChange",
    "CustomerStates",
    "Customers",
    "Found",
    "LiveCopy",
    "LiveCopyFailed",
]
