"""The tracking API as values: a request's bytes become events or dead letters; no I/O here."""

from customeros.connectors.segment.body import Batch, Malformed, read_batch, read_call
from customeros.connectors.segment.calls import CALL_TYPES, Envelope, Interpreter, Outcome

__all__ = [
    "CALL_TYPES",
    "Batch",
    "Envelope",
    "Interpreter",
    "Malformed",
    "Outcome",
    "read_batch",
    "read_call",
]
