"""
The errors of the platform, sorted by who is at fault; that decides what happens next.

* CustomerOSError
  x PoisonRecord       the record: dead letter with its reason and origin, the offset moves on
  x Unavailable        a dependency: pause and try again
  x Misconfigured      the operator: stop at start-up with a sentence that says what to change
  x Fenced             a successor owns this work now: stop, nothing committed
Anything else is ours: the process crashes and nothing is committed.
"""

from __future__ import annotations


class CustomerOSError(Exception):
    """Base of every error this platform raises on purpose."""


class PoisonRecord(CustomerOSError):
    """
    The record can never be processed as it is.

    Args:
        reason: a short stable code such as `undecodable`; it becomes a metric label
            and a dead-letter field, so it holds no personal data.
        detail: one sentence for the operator, also without personal data.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Unavailable(CustomerOSError):
    """A dependency did not answer; try again in `retry_after` seconds."""

    def __init__(self, dependency: str, *, retry_after: float = 1.0) -> None:
        super().__init__(f"{dependency} is unavailable, retry in {retry_after:g} s")
        self.dependency = dependency
        self.retry_after = retry_after


class Misconfigured(CustomerOSError):
    """A setting is missing or contradicts another; the text says what to change."""


class Fenced(CustomerOSError):
    """Another process took over this partition; what this one has not committed is void."""
