"""One call of the tracking API becomes one event, or one dead letter that says why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from customeros.connectors.segment.decoding import Call, Refused, json_text, read_one
from customeros.connectors.segment.families import family_of, order_action
from customeros.connectors.segment.identities import MAX_IDENTIFIERS, Identities, candidates
from customeros.connectors.segment.parts import (
    MAX_REF_CHARACTERS,
    first,
    read_consent,
    read_conversation,
    read_order,
    reference,
)
from customeros.connectors.segment.times import reckon
from customeros.schemas.dead_letter import DeadLetter, Origin
from customeros.schemas.event import Event, Family, Personal
from customeros.schemas.identifier import IdentifierRules

Outcome = Event | DeadLetter

STAGE: Final = "collector"

CALL_TYPES: Final = ("identify", "track", "page", "screen", "group", "alias")
_NAMES: Final = {
    "identify": "Identified",
    "page": "Page Viewed",
    "screen": "Screen Viewed",
    "group": "Group Joined",
    "alias": "Aliased",
}
_FAMILIES: Final = {
    "identify": Family.DEMOGRAPHIC,
    "group": Family.DEMOGRAPHIC,
    "alias": Family.DEMOGRAPHIC,
    "page": Family.BEHAVIORAL,
    "screen": Family.BEHAVIORAL,
}
# What an organisation's own systems tell of it may name nobody.
_OF_ACCOUNTS_ALONE: Final = ("group", "track")
_KNOWN_FAMILIES: Final = {str(family): family for family in Family}
_NO_VALUES: Final[Mapping[str, Any]] = {}


class Envelope(NamedTuple):
    """
    How a call reached us.

    Args:
        request_id: random; makes the ids of events that come without one.
        received_at: ms since the epoch.
        sent_at, context: of the batch, JSON values as they came.
    """

    request_id: str
    received_at: int
    sent_at: Any = None
    context: Any = None


class Interpreter:
    """
    Reads the calls of one source.

    Args:
        default_currency: of amounts that come without one; None: they are no order then.
    """

    def __init__(
        self,
        *,
        workspace: str,
        source: str,
        rules: IdentifierRules,
        workspace_key: bytes,
        default_currency: str | None,
    ) -> None:
        self.workspace = workspace
        self.source = source
        self._identities = Identities(rules, workspace_key)
        self._default_currency = default_currency

    def interpret(self, raw: bytes, envelope: Envelope, *, kind: str | None, index: int) -> Outcome:
        """
        The event of one call.

        Args:
            raw: the call's JSON as it came.
            kind: the call's type where the request's path says it; else the call does.
            index: the call's place in its request.
        """
        try:
            return self._event(read_one(raw), envelope, kind=kind, index=index)
        except Refused as refused:
            return DeadLetter(
                workspace=self.workspace,
                source=self.source,
                stage=STAGE,
                reason=refused.reason,
                detail=refused.detail,
                origin=Origin(),
                failed_at=envelope.received_at,
                # Of a request to /v1/track only the path says what it was.
                key=kind.encode() if kind else None,
                value=raw,
            )

    def _event(self, call: Call, envelope: Envelope, *, kind: str | None, index: int) -> Event:
        kind = kind or call.type
        if kind not in CALL_TYPES:
            raise Refused("unknown_type", f"the type must be one of {', '.join(CALL_TYPES)}")
        name = _event_name(call.event) if kind == "track" else _NAMES[kind]
        event_id = _event_id(call.message_id, envelope, index)
        properties = _object(call.properties, "bad_properties")
        traits = _object(call.traits, "bad_traits")
        context = _object(call.context, "bad_context")
        if isinstance(envelope.context, dict):
            context = {**envelope.context, **context}

        known_by = context.get("traits")
        own_traits: Mapping[str, Any] = known_by if isinstance(known_by, dict) else _NO_VALUES
        if kind == "group":
            # They describe the organisation, not who joined it.
            properties = {**traits, **properties}
        elif traits:
            own_traits = {**own_traits, **traits}
        if kind in ("page", "screen"):
            if call.name is not None:
                properties.setdefault("name", call.name)
            if call.category is not None:
                properties.setdefault("category", call.category)

        people = self._identities.of(
            candidates(
                kind,
                user_id=call.user_id,
                anonymous_id=call.anonymous_id,
                previous_id=call.previous_id,
                traits=own_traits,
                properties=properties,
                context=context,
            )
        )
        account_id = _account(call, kind, properties, context)
        if not people and (account_id is None or kind not in _OF_ACCOUNTS_ALONE):
            raise Refused("no_identifier", "no identifier that names somebody")
        if len(people) > MAX_IDENTIFIERS:
            raise Refused("too_many_identifiers", f"more than {MAX_IDENTIFIERS} identifiers")

        said = context.get("family")
        family = _KNOWN_FAMILIES.get(said) if isinstance(said, str) else None
        family = family or _FAMILIES.get(kind) or family_of(name)
        action = order_action(name) if kind == "track" else None
        conversation = (
            read_conversation(
                name, properties, otherwise=people[0].key if people else account_id or event_id
            )
            if family is Family.CONVERSATIONAL
            else None
        )
        times = reckon(
            received_at=envelope.received_at,
            timestamp=call.timestamp,
            original=call.original_timestamp,
            sent_at=call.sent_at if envelope.sent_at is None else envelope.sent_at,
        )
        return Event(
            workspace=self.workspace,
            source=self.source,
            event_id=event_id,
            family=family,
            kind=kind,
            name=name,
            occurred_at=times.occurred_at,
            received_at=envelope.received_at,
            timestamp=times.timestamp,
            original_timestamp=times.original_timestamp,
            sent_at=times.sent_at,
            identifier_keys=tuple(known.key for known in people),
            account_id=account_id,
            order=read_order(
                action,
                properties,
                default_currency=self._default_currency,
                event_id=event_id,
            )
            if action is not None
            else None,
            message=conversation.message if conversation else None,
            consent=read_consent(context),
            personal=Personal(
                identifiers=tuple(known.identifier for known in people),
                traits={trait: json_text(value) for trait, value in own_traits.items()},
                properties=json_text(properties) if properties else "{}",
                context=json_text(context) if context else "{}",
                author=conversation.author if conversation else None,
                text=conversation.text if conversation else None,
            ),
        )


def _account(
    call: Call, kind: str, properties: Mapping[str, Any], context: Mapping[str, Any]
) -> str | None:
    """The organisation that the call names; Segment's SDKs put it into the context."""
    if kind == "group":
        return reference(call.group_id)
    return reference(first(context, "groupId")) or (
        reference(first(properties, "groupId", "group_id")) if kind == "track" else None
    )


def _event_name(said: object) -> str:
    name = said.strip() if isinstance(said, str) else ""
    if not 0 < len(name) <= MAX_REF_CHARACTERS:
        raise Refused(
            "bad_event_name", f"`event` is a text of 1 to {MAX_REF_CHARACTERS} characters"
        )
    return name


def _event_id(said: object, envelope: Envelope, index: int) -> str:
    if said is None or said == "":
        return f"{envelope.request_id}-{index}"
    found = reference(said)
    if found is None:
        # Any other id in its place would make a retry count twice.
        raise Refused(
            "bad_message_id", f"`messageId` is a text of 1 to {MAX_REF_CHARACTERS} characters"
        )
    return found


def _object(value: object, reason: str) -> dict[str, Any]:
    if value is None or value == "":
        return {}
    if not isinstance(value, dict):
        raise Refused(reason, f"`{reason.removeprefix('bad_')}` must be an object")
    return value
