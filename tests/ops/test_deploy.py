"""The image's installation, and what Prometheus and Grafana are told."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from customeros.runtime import metrics

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "ops" / "deploy"
DASHBOARD: dict[str, Any] = json.loads(
    (DEPLOY / "grafana" / "dashboards" / "customeros.json").read_text()
)
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROMETHEUS: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
_KEYWORDS = {"sum", "max", "by", "rate", "increase", "histogram_quantile", "up"}


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def exported() -> dict[str, set[str]]:
    """Every series that our processes export, with its labels."""
    found: dict[str, set[str]] = {}
    for metric in REGISTRY.collect():
        if metric.name.startswith("process_"):
            found |= {sample.name: set() for sample in metric.samples}
    for metric in (m for m in vars(metrics).values() if hasattr(m, "_labelnames")):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        for suffix in suffixes.get(metric._type, [""]):
            found[metric._name + suffix] = set(metric._labelnames)
    return found


@pytest.mark.parametrize("expression", sorted(expressions()))
def test_dashboards_and_alerts_ask_for_metrics_that_there_are(expression: str) -> None:
    """With the labels they have; `le`, `job` and `process` come from Prometheus itself."""
    known = exported()
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", expression)
    words = set(re.findall(r"[a-z_]{2,}", re.sub(r"by \([^)]*\)", "", bare)))
    labels = {w.strip() for by in re.findall(r"by \(([^)]*)\)", bare) for w in by.split(",")}

    series = words - _KEYWORDS
    assert series <= set(known)
    allowed = {"le", "job", "process"}.union(*(known[name] for name in series))
    assert labels <= allowed
    assert expression.count("(") == expression.count(")")


def test_every_metric_of_the_platform_is_on_the_dashboard() -> None:
    """What is worth measuring is worth seeing."""
    shown = " ".join(expressions())
    names = {m._name for m in vars(metrics).values() if hasattr(m, "_labelnames")}

    assert {name for name in names if name not in shown} == set()


def test_panels_have_names_units_and_a_place_of_their_own() -> None:
    """No two overlap, and each says what it shows."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["title"]
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["fieldConfig"]["defaults"]["unit"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_prometheus_asks_each_process_where_it_answers() -> None:
    """Collector and API on their own port, the others where the setting says."""
    targets = set(PROMETHEUS["scrape_configs"][0]["static_configs"][0]["targets"])
    own = {"collector": 8700, "api": 8800}
    jobs = {"topics", "schemas"}
    ours = {n for n, s in COMPOSE["services"].items() if s["image"].startswith("customeros:")}

    assert targets == {f"{name}:{own.get(name, 9100)}" for name in ours - jobs}


def test_grafana_finds_its_dashboards_and_its_prometheus() -> None:
    """Paths and addresses of the three files agree."""
    provisioning = DEPLOY / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())
    provider = yaml.safe_load((provisioning / "dashboards/customeros.yml").read_text())
    grafana = COMPOSE["services"]["grafana"]
    mounts = dict(volume.split(":")[:2] for volume in grafana["volumes"])

    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    uids = {t["datasource"]["uid"] for p in DASHBOARD["panels"] for t in p.get("targets", [])}
    assert uids == {source["datasources"][0]["uid"]}
    path = provider["providers"][0]["options"]["path"]
    assert mounts["./ops/deploy/grafana/dashboards"] == path
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{path}/customeros.json"


def test_passwords_are_new_each_time() -> None:
    """And are all that docker-compose.yml asks for."""
    script = DEPLOY / "make-env"
    first, second = (subprocess.check_output([script], text=True) for _ in range(2))

    given = dict(line.split("=") for line in first.splitlines())
    required = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yml").read_text()))
    assert set(given) == required
    assert all(len(value) == 48 for value in given.values())
    assert first != second


@pytest.mark.integration
def test_the_images_installation_works(tmp_path: Path) -> None:
    """The two steps of the Dockerfile in an empty virtual environment; then it runs elsewhere."""
    source, venv, elsewhere = tmp_path / "src", tmp_path / "venv", tmp_path / "elsewhere"
    elsewhere.mkdir()
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for name in (line[1:] for line in ignored if line.startswith("!")):
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    steps = re.findall(r"^RUN ops/deploy/install /opt/customeros (\w+)$", _dockerfile(), re.M)

    for step in steps:
        subprocess.run(
            [source / "ops/deploy/install", venv, step],
            check=True,
            env={**os.environ, "PYTHON": sys.executable},
        )
    told = subprocess.run(
        [venv / "bin/customeros", "--help"],
        check=True,
        cwd=elsewhere,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    ).stdout

    assert steps == ["dependencies", "project"]
    assert "collector" in told
    schemas = [str(venv / "bin/customeros"), "schemas", "list"]
    assert "customer_state" in subprocess.check_output(
        schemas, cwd=elsewhere, text=True, env={"PATH": "/usr/bin:/bin"}
    )


def _dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()
