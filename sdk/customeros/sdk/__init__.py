"""An application's own live copy of customers and organisations: look-ups in memory, changes."""

from customeros.sdk.accounts import AccountChange, AccountStates
from customeros.sdk.changes import Change
from customeros.sdk.customers import CustomerChange, CustomerStates
from customeros.sdk.livecopy import LiveCopy, LiveCopyFailed
from customeros.sdk.lookup import Customers, Found

__all__ = [
    "AccountChange",
    "AccountStates",
    "Change",
    "CustomerChange",
    "CustomerStates",
    "Customers",
    "Found",
    "LiveCopy",
    "LiveCopyFailed",
]
