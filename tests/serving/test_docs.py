"""docs/api.md: each request in it is answered as it says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from starlette.testclient import TestClient

from customeros.schemas.customer import Status
from support import samples
from support.customers import NOON, a_link, a_state, an_assignment, own_id

if TYPE_CHECKING:
    from .conftest import World

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
EXAMPLES = re.findall(
    r"^```http\nGET (\S+)\n```\n\n```json\n(.*?)\n```$", DOCUMENT, re.MULTILINE | re.DOTALL
)
POSTED = re.findall(
    r"^```http\nPOST (\S+)\n\n(.*?)\n```\n\n```json\n(.*?)\n```$",
    DOCUMENT,
    re.MULTILINE | re.DOTALL,
)
MERGED = own_id("email", "ada@example.com")


@pytest.fixture(autouse=True)
def _ada(world: World) -> None:
    """Ada, whose address was once a customer of its own, and her two events."""
    world.know(
        samples.STATE,
        a_state(MERGED, status=Status.MERGED, merged_into=samples.ADA),
        an_assignment("email", "ada@example.com", samples.ADA),
    )
    world.link(a_link("email:ada@example.com", "user_id:ada", source="demo"))
    world.organise(samples.ACCOUNT)
    world.lists.member_rows = [
        {
            "account_id": "acme",
            "customer_id": samples.ADA,
            "name": "Ada Lovelace",
            "email": "ada@example.com",
            "role": "buyer",
            "since_ms": NOON - 60_000,
            "last_seen_ms": NOON,
        }
    ]
    world.lists.account_rows = [
        {"parent": "acme", "account_id": "acme-uk", "name": "Acme UK", "member_count": 3}
    ]
    order = msgspec.structs.replace(samples.EVENT, message=None)
    world.events.rows = [
        samples.row(order, enrichment={"country": "GB"}, traits={}),
        samples.row(order, event_id="signup-1", occurred_ms=NOON - 60_000),
    ]


@pytest.mark.parametrize(("path", "answer"), EXAMPLES, ids=[path for path, _ in EXAMPLES])
def test_every_example_is_answered_as_written(client: TestClient, path: str, answer: str) -> None:
    """To the last field."""
    assert client.get(path).json() == json.loads(answer)


@pytest.mark.parametrize(("path", "order", "answer"), POSTED, ids=[path for path, *_ in POSTED])
def test_every_order_is_answered_as_written(
    client: TestClient, path: str, order: str, answer: str
) -> None:
    assert client.post(path, content=order).json() == json.loads(answer)


def test_a_merged_customer_answers_as_the_document_says(client: TestClient) -> None:
    """The id in it is the one of Ada's address."""
    (path,) = re.findall(rf"^GET (/v1/customers/{MERGED})$", DOCUMENT, re.MULTILINE)

    assert client.get(path).json()["merged_from"] == MERGED


def test_the_page_after_the_example_goes_on(client: TestClient) -> None:
    """The cursor in the document is one that works."""
    ((_, answer),) = [example for example in EXAMPLES if "events" in example[0]]

    cursor = json.loads(answer)["next"]
    page = client.get(f"/v1/customers/user_id:ada/events?before={cursor}").json()

    assert [event["event_id"] for event in page["events"]] == ["signup-1"]
    assert page["next"] is None


def test_every_code_of_a_refusal_is_documented() -> None:
    """What programs may have to tell apart."""
    root = Path(__file__).parents[2]
    sources = [*(root / "serving").rglob("*.py"), *(root / "processors").rglob("by_hand.py")]
    text = "\n".join(path.read_text() for path in sources)

    raised = r'(?:Refused\(\s*\d+,|try_again\(|Impossible\()\s*"(\w+)"'
    codes = set(re.findall(raised, text)) | {"unavailable"}
    assert {code for code in codes if f"`{code}`" not in DOCUMENT} == set()
    assert len(codes) >= 10
