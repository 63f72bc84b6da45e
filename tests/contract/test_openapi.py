"""openapi.json says exactly the routes there are, with the schemas of the models and the samples as examples."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.checks import references
from tests.fakes.gateway import gateway
from topics.api.routes import full_path, full_paths
from topics.contract.definition import Direction, Touchpoint
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS
from topics.documents.openapi import document

METHODS = {"get", "post", "put"}
OTHERS = {
    ("get", "/api/orders"),
    ("get", "/api/deliveries"),
    ("get", "/api/dead-letters"),
    ("get", "/api/dead-letters/groups"),
    ("get", "/api/rejected"),
    ("get", "/api/rejected/groups"),
    ("get", "/api/destinations"),
    ("get", "/api/due"),
    ("get", "/api/audit"),
    ("get", "/api/status"),
    ("get", "/api/orders/{code}"),
    ("get", "/api/returns/{code}"),
    ("get", "/api/orders/{code}/story"),
    ("get", "/api/orders/{code}/timeline"),
    ("get", "/api/returns/{code}/timeline"),
    ("get", "/api/manifests/{code}/timeline"),
    ("get", "/api/search"),
    ("get", "/api/returns/{code}/story"),
    ("get", "/api/manifests/{code}/story"),
    ("get", "/api/orders/{code}/events"),
    ("get", "/api/returns/{code}/events"),
    ("post", "/api/orders/{code}/deliveries/{request}/{action}"),
    ("post", "/api/returns/{code}/deliveries/{request}/{action}"),
    ("get", "/api/redrives"),
    ("post", "/api/redrives"),
    ("post", "/api/redrives/preview"),
    ("post", "/api/resubmissions/preview"),
    ("post", "/api/orders/{code}/resubmit/preview"),
    ("post", "/api/returns/{code}/resubmit/preview"),
    ("post", "/api/orders/{code}/deliveries/{request}/{action}/preview"),
    ("post", "/api/returns/{code}/deliveries/{request}/{action}/preview"),
    ("post", "/api/subscriptions/{id}/deliveries/{request}/{action}/preview"),
    ("post", "/api/inventory/preview/{action}/{channel}"),
    ("post", "/api/inventory/preview/{action}/{channel}/{location}"),
    ("post", "/api/destinations/{destination}/{action}"),
    ("post", "/api/destinations/{destination}/{action}/preview"),
    ("get", "/api/redrives/{id}"),
    ("delete", "/api/redrives/{id}"),
    ("get", "/api/subscriptions"),
    ("post", "/api/orders/{code}/resubmit"),
    ("post", "/api/returns/{code}/resubmit"),
    ("get", "/api/resubmissions"),
    ("post", "/api/resubmissions"),
    ("get", "/api/resubmissions/{id}"),
    ("delete", "/api/resubmissions/{id}"),
    ("post", "/api/subscriptions"),
    ("get", "/api/subscriptions/{id}"),
    ("patch", "/api/subscriptions/{id}"),
    ("delete", "/api/subscriptions/{id}"),
    ("post", "/api/subscriptions/{id}/verify"),
    ("post", "/api/subscriptions/{id}/rotate-secret"),
    ("post", "/api/subscriptions/{id}/enable"),
    ("post", "/api/subscriptions/{id}/disable"),
    ("post", "/api/subscriptions/{id}/deliveries/{request}/{action}"),
    ("get", "/api/inventory/status"),
    ("get", "/api/inventory/status/{channel}"),
    ("get", "/api/inventory/refused/{channel}"),
    ("get", "/api/inventory/refused/{channel}/{location}"),
    ("post", "/api/inventory/{action}/{channel}"),
    ("post", "/api/inventory/{action}/{channel}/{location}"),
    ("get", "/api/inventory/snapshots/{channel}/{location}"),
    ("put", "/api/inventory/snapshots/{channel}/{location}"),
    ("get", "/live"),
    ("get", "/ready"),
    ("get", "/metrics"),
    ("get", "/openapi.json"),
    ("get", "/openapi.html"),
    ("get", "/asyncapi.json"),
}


def _operation(touchpoint: Touchpoint) -> dict[str, Any]:
    operation: dict[str, Any] = document()["paths"][full_path(touchpoint)][touchpoint.method.lower()]
    return operation


def _content(part: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = part["content"]["application/json"]
    return content


def test_there_is_one_operation_for_each_route() -> None:
    told = {(method, path) for path, item in document()["paths"].items() for method in item}
    assert (
        told == {(t.method.lower(), path) for t in TOUCHPOINTS for path in full_paths(t, ("/assure-magic2",))} | OTHERS
    )
    ids = [operation["operationId"] for item in document()["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_every_tag_is_described() -> None:
    used = {tag for item in document()["paths"].values() for operation in item.values() for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document()["tags"]}


def test_every_reference_leads_somewhere() -> None:
    schemas = document()["components"]["schemas"]
    prefix = "#/components/schemas/"
    assert {reference for reference in references(document()) if reference.removeprefix(prefix) not in schemas} == set()


def test_every_security_scheme_that_is_named_exists() -> None:
    schemes = document()["components"]["securitySchemes"]
    operations = [operation for item in document()["paths"].values() for operation in item.values()]
    named = {name for operation in operations for wanted in operation.get("security", ()) for name in wanted}
    assert named == set(schemes)


@pytest.mark.parametrize("touchpoint", TOUCHPOINTS, ids=lambda touchpoint: touchpoint.name)
def test_each_side_sees_its_prefix_its_errors_and_the_receipts(touchpoint: Touchpoint) -> None:
    inbound = touchpoint.direction is Direction.TO_INCREFF
    assert full_path(touchpoint).startswith("/assure-magic2/" if inbound else "/channels/{channel}/")
    responses = _operation(touchpoint)["responses"]
    for status in ("400", "401", "404", "413", "503"):
        reference = responses[status]["content"]["application/json"]["schema"]["$ref"]
        assert reference.endswith("/IncreffError" if inbound else "/ChannelError")
    assert set(responses["503"]["headers"]) == {"Retry-After", "Sluice-Event-Id", "Sluice-Position"}
    is_stored = touchpoint.mode.value != "answer"
    assert set(responses["200"].get("headers", ())) == ({"Sluice-Event-Id", "Sluice-Position"} if is_stored else set())


@pytest.mark.parametrize("touchpoint", TOUCHPOINTS, ids=lambda touchpoint: touchpoint.name)
def test_bodies_have_the_models_schemas_and_the_samples_as_examples(touchpoint: Touchpoint) -> None:
    operation, example = _operation(touchpoint), sample(touchpoint.name)
    assert ("requestBody" in operation) == (not touchpoint.query)
    if "requestBody" in operation:
        body = _content(operation["requestBody"])
        assert body["example"] == example.body
        if not touchpoint.path_members:
            assert body["schema"]["$ref"].endswith(f"/{touchpoint.request.__name__}")
    success = operation["responses"]["200"]
    assert ("content" in success) == (touchpoint.response is not None)
    if touchpoint.response is not None:
        assert _content(success)["schema"]["$ref"].endswith(f"/{touchpoint.response.__name__}")
        assert _content(success)["example"] == example.answer


@pytest.mark.parametrize("touchpoint", TOUCHPOINTS, ids=lambda touchpoint: touchpoint.name)
def test_path_and_query_members_are_parameters_with_the_samples_as_examples(touchpoint: Touchpoint) -> None:
    example = sample(touchpoint.name)
    told = {(p["in"], p["name"]): p.get("example") for p in _operation(touchpoint)["parameters"]}
    told.pop(("path", "channel"), None)
    in_query = touchpoint.request.model_fields if touchpoint.query else ()
    assert told == {
        **{("path", name): example.path[name] for name in touchpoint.path_members},
        **{("query", name): example.query.get(name) for name in in_query},
    }


def test_what_travels_in_the_path_is_not_asked_for_in_the_body() -> None:
    operation = _operation(BY_NAME["customer-cancellation"])
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    assert "orderCode" not in schema["properties"]
    assert "orderCode" not in schema["required"]
    assert {(p["in"], p["name"]) for p in operation["parameters"]} == {("path", "orderCode")}


def test_the_limits_of_the_models_are_in_the_schemas() -> None:
    schemas = document()["components"]["schemas"]
    order = schemas["CreateOutwardOrder"]["properties"]
    assert order["orderCode"] == {"type": ["string", "number", "boolean"], "minLength": 1, "maxLength": 255}
    assert (order["orderItems"]["minItems"], order["orderItems"]["maxItems"]) == (1, 2_500)
    assert schemas["LocationWiseAtp"]["properties"]["inventories"]["maxItems"] == 200


async def test_the_routes_are_the_gateways() -> None:
    async with gateway() as at:
        served, admin = (
            {
                (route.method.lower(), resource.canonical)
                for resource in at.client.app_of(path).router.resources()
                for route in resource
                if route.method not in ("*", "HEAD")
            }
            for path in ("/", "/api/")
        )
    told = {(method, path) for path, item in document()["paths"].items() for method in item}
    of_admin = {
        (method, path) for path, item in document()["paths"].items() for method in item if "servers" in item[method]
    }
    assert of_admin == admin - served
    told -= of_admin
    prefix = "/assuremagic2"
    again = {(method, path.replace("/assure-magic2", prefix)) for method, path in told if "-magic2" in path}
    assert served == told | again
    [increff] = [tag["description"] for tag in document()["tags"] if tag["name"] == "marketplace to Increff"]
    assert prefix in increff


def test_the_document_has_the_bases_of_the_settings() -> None:
    """One base has no words about others."""
    told = document(("/oms",))
    assert "/oms/orders/{orderCode}" in told["paths"]
    assert not any("magic" in path for path in told["paths"])
    assert "magic" not in str(told["tags"])
