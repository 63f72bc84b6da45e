"""What deploys Sluice elsewhere speaks of it as it is: the same settings, roles, Kafka and limits as the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sluice.cli.run import run
from sluice.dev.local.jars import KAFKA_VERSION, POM
from topics.configuration.channels_file import load_channels
from topics.configuration.settings import Settings
from topics.kafka.catalogue import RECORD_BYTES_MAX

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docker-compose.yml"
CHART = ROOT / "helm" / "sluice"
DEPLOYMENT = [ROOT / "Dockerfile", COMPOSE, *sorted(CHART.rglob("*.yaml"))]
NOT_SETTINGS = {"SLUICE_CHANNELS", "SLUICE_ENV_FILE", "SLUICE_COMPILED", "SLUICE_URL"}
"""Read by docker compose itself: which file to mount. Read before any setting: the form of the modules. Read by
commands: where the gateway is."""
ROLES = ("gateway", "orders", "delivery", "inventory", "journal")


@pytest.mark.parametrize("path", DEPLOYMENT, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_variable_is_a_setting(path: Path) -> None:
    used = set(re.findall(r"\bSLUICE_[A-Z_]+", path.read_text(encoding="utf-8")))
    known = {f"SLUICE_{name.upper()}" for name in Settings.model_fields}
    assert used - NOT_SETTINGS <= known


def test_every_role_is_deployed() -> None:
    compose = COMPOSE.read_text(encoding="utf-8")
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    for role in ROLES:
        assert role in run.commands
        assert f'\n  {role}:\n    <<: *role\n    command: ["run", "{role}"]\n' in compose
    assert schema["properties"]["roles"]["required"] == list(ROLES)


def test_only_the_image_of_the_sandboxes_has_developer_tools() -> None:
    compose = COMPOSE.read_text(encoding="utf-8")
    stages = (ROOT / "Dockerfile").read_text(encoding="utf-8").split("\nFROM ")
    with_tools = [stage.splitlines()[0] for stage in stages if "sluice/dev" in stage or "--from=build-dev" in stage]
    assert with_tools == ["compiled AS build-dev", "base AS dev"]
    assert stages[-1].startswith("base AS product\n"), "what is built when no target is named"
    assert re.findall(r"target: (\w+)", compose) == ["product", "dev"]
    for side in ("increff", "marketplace"):
        assert f'\n  sandbox-{side}:\n    <<: *sandbox\n    command: ["sandbox", "{side}"' in compose


def test_every_kafka_is_the_same() -> None:
    assert f"image: apache/kafka:{KAFKA_VERSION}\n" in COMPOSE.read_text(encoding="utf-8")
    pom = POM.read_text(encoding="utf-8")
    for artifact in ("kafka_2.13", "kafka-tools"):
        assert re.search(rf"<artifactId>{artifact}</artifactId>\s*<version>{re.escape(KAFKA_VERSION)}</version>", pom)
    assert f'KAFKA_MESSAGE_MAX_BYTES: "{RECORD_BYTES_MAX}"' in COMPOSE.read_text(encoding="utf-8")


def test_the_channels_of_the_containers_can_be_used() -> None:
    channels = load_channels(ROOT / "docker" / "channels.toml")
    assert channels.increff.url == "http://sandbox-increff:8091/assure-magic2"
    assert list(channels.channels) == ["demo"]


def test_the_chart_ends_all_workers_of_orders_before_it_starts_new_ones() -> None:
    """An older version cannot read what a newer one stores of an order."""
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    orders = values.partition("\n  orders:\n")[2].partition("\n  delivery:\n")[0]
    assert "\n    strategy: Recreate\n" in orders
    assert values.count("strategy: ") == 1, "the others are replaced one by one"
    template = (CHART / "templates" / "roles.yaml").read_text(encoding="utf-8")
    spec = template.partition("\nspec:\n")[2].partition("  selector:\n")[0]
    assert spec.splitlines()[2:5] == ["  strategy:", "    type: {{ . }}", '    {{- if eq . "Recreate" }}']
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    assert schema["definitions"]["role"]["properties"]["strategy"] == {"enum": ["Recreate", "RollingUpdate"]}


def test_the_chart_is_of_this_version() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.*)"$', project, re.MULTILINE)
    assert version is not None
    chart = (CHART / "Chart.yaml").read_text(encoding="utf-8")
    assert f'appVersion: "{version.group(1)}"' in chart


@pytest.mark.parametrize("path", sorted((CHART / "templates").iterdir()), ids=lambda path: str(path.name))
def test_templates_open_and_close_in_pairs(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("{{") == text.count("}}")
    openers = re.findall(r"{{-? *(?:if|range|with|define)\b", text)
    assert len(openers) == len(re.findall(r"{{-? *end\b", text))
