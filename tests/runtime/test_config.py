"""`customeros.toml` is read, and a mistake in it is told with its line and its remedy."""

import pytest

from customeros.runtime.config import Config, parse_config, parse_rules, read_config
from customeros.runtime.errors import Misconfigured
from customeros.runtime.secrets import Secrets
from customeros.runtime.settings import Settings

SECRETS = Secrets(b"master", "wk_default", "tok")

WHOLE = """
[workspaces.shop]
default_currency = "EUR"
default_region = "DE"
members = 200

[workspaces.shop.strengths]
seen_page = 0

[workspaces.shop.identifiers.loyalty_card]
normaliser = "lower"
limit = 3

[workspaces.shop.identifiers.email]
degree = 7

[workspaces.shop.blocked]
values = ["Walk-In"]
patterns = ["^test-"]

[workspaces.shop.suggestions]
consent = "matching"

[workspaces.shop.sources.web]
write_key = "env:WEB_KEY"

[workspaces.shop.sources.till]
priority = 5
default_currency = "CHF"

[workspaces.shop.sources.till.strengths]
seen_track = 2
"""


def parsed(text: str, **environment: str) -> Config:
    return parse_config(text, name="customeros.toml", secrets=SECRETS, environment=environment)


def refusal(text: str, **environment: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        parsed(text, **environment)
    return str(caught.value)


def test_a_whole_configuration_is_read() -> None:
    """Types keep the defaults that the file does not change."""
    shop = parsed(WHOLE, WEB_KEY="k1").workspaces["shop"]

    assert shop.identifiers.types["loyalty_card"].limit == 3
    assert shop.identifiers.types["email"].degree == 7
    assert shop.identifiers.types["email"].normaliser == "email"
    assert shop.identifiers.types["user_id"].limit == 1
    assert shop.identifiers.blocked_values == {"walk-in"}
    assert shop.suggestions_consent == "matching"
    assert (shop.strengths, shop.members) == ({"seen_page": 0}, 200)
    assert shop.sources["till"].strengths == {"seen_track": 2}
    assert shop.sources["web"].write_keys == ("k1",)
    assert shop.sources["web"].default_currency == "EUR"
    assert shop.sources["till"].default_currency == "CHF"


def test_a_write_key_leads_to_its_source() -> None:
    config = parsed(WHOLE, WEB_KEY="k1")

    source = config.source_by_write_key("k1")

    assert source is not None
    assert (source.workspace, source.name) == ("shop", "web")
    assert config.source_by_write_key("k2") is None
    assert config.source_by_write_key("\ud800") is None


def test_a_source_without_a_write_key_gets_one_that_stays() -> None:
    first, second = parsed(WHOLE, WEB_KEY="k1"), parsed(WHOLE, WEB_KEY="k1")

    keys = first.workspaces["shop"].sources["till"].write_keys

    assert keys == second.workspaces["shop"].sources["till"].write_keys
    assert keys[0].startswith("wk_")


@pytest.mark.parametrize(
    ("line", "mistake", "told"),
    [
        (
            "[workspaces.shop]",
            "[workspaces.shop]\ncurency = 'EUR'",
            "did you mean default_currency",
        ),
        ("priority = 5", "prioritty = 5", "did you mean priority?"),
        ("limit = 3", "limit = 0", "greater than or equal to 1"),
        ('normaliser = "lower"', 'normaliser = "upper"', "must be one of email, exact, lower"),
        ('default_region = "DE"', 'default_region = "Germany"', "should match pattern"),
        ('patterns = ["^test-"]', 'patterns = ["("]', "no regular expression"),
        ('"env:WEB_KEY"', '"abc123"', 'write "env:NAME"'),
        ("seen_page = 0", "seen_pages = 0", "did you mean seen_page?"),
        ("seen_page = 0", "seen_page = 4", "less than or equal to 3"),
        ("seen_page = 0", "seen_page = true", "valid integer"),
        ("seen_track = 2", "purchase = 2", "known: alias, identify"),
        ("members = 200", "members = 2000", "less than or equal to 1000"),
        ("degree = 7", "degree = 9000", "less than or equal to 500"),
        (
            "[workspaces.shop.identifiers.email]",
            "[workspaces.shop.identifiers.emial]",
            "did you mean email?",
        ),
        (
            "[workspaces.shop.identifiers.email]",
            "[workspaces.shop.identifiers.Email]",
            "is no identifier type",
        ),
    ],
)
def test_a_mistake_is_told_with_its_line_and_remedy(line: str, mistake: str, told: str) -> None:
    text = WHOLE.replace(line, mistake)
    expected = next(
        n for n, row in enumerate(text.splitlines(), 1) if mistake.splitlines()[-1] in row
    )

    said = refusal(text, WEB_KEY="k1")

    assert said.startswith(f"customeros.toml:{expected}: ")
    assert told in said


def test_a_missing_variable_is_named() -> None:
    assert "the environment variable WEB_KEY is not set" in refusal(WHOLE)


def test_text_that_is_no_toml_is_told_with_its_line() -> None:
    assert "line 2" in refusal("[workspaces.shop]\nx = = 1\n")


def test_without_a_file_there_is_one_workspace_with_the_source_demo(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))

    config = read_config(Settings())

    assert list(config.workspaces["default"].sources) == ["demo"]


def test_a_file_that_was_named_must_be_there(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("CUSTOMEROS_CONFIG", "other.toml")

    with pytest.raises(Misconfigured, match="no such file"):
        read_config(Settings())


def test_rules_are_read_without_sources_and_secrets() -> None:
    """As somebody who tries them has them."""
    whole = parse_rules(WHOLE, name="customeros.toml")["shop"]
    alone = parse_rules(WHOLE[: WHOLE.index("[workspaces.shop.sources")], name="rules.toml")["shop"]

    assert whole.identifiers == alone.identifiers
    assert whole.identifiers == parsed(WHOLE, WEB_KEY="k1").workspaces["shop"].identifiers


def test_a_mistake_in_rules_is_told_as_one_in_a_configuration() -> None:
    with pytest.raises(Misconfigured, match=r"^rules.toml:2: .*did you mean limit\?"):
        parse_rules("[workspaces.shop.identifiers.email]\nlimt = 3\n", name="rules.toml")
