"""Exactly-once batch processing: processors are pure, this package owns state and delivery."""

from customeros.runtime.stream.model import (
    Batch,
    Output,
    Processor,
    Record,
    State,
    Table,
    dead_letter,
    struct_table,
)

__all__ = [
    "Batch",
    "Output",
    "Processor",
    "Record",
    "State",
    "Table",
    "dead_letter",
    "struct_table",
]
