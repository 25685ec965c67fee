"""The OpenAPI schema: committed as the code makes it, and kept by every address when it is asked anything at all."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import resolve
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from core.access import Access, declared
from core.api.schema import document
from core.wsgi import application
from search import cases
from tests.core.access_rows import somebody
from tests.people import Cast
from tests.search.stage import Stage, build, running_log

EXAMPLES = 6


def test_the_schema_is_served_to_everybody_and_committed(cast: Cast) -> None:
    answer = Client().get("/api/v1/schema/")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("application/vnd.oai.openapi")
    assert answer.content.decode() == Path(django_settings.BASE_DIR / "docs/openapi.yaml").read_text(encoding="utf-8")


def test_every_operation_is_named_and_every_refusal_has_the_one_shape(cast: Cast) -> None:
    names = []
    for path, methods in document()["paths"].items():
        assert path.startswith("/api/v1/")
        assert path.endswith("/") or "{name}" in path
        for operation in methods.values():
            names.append(operation["operationId"])
            assert operation["summary"].endswith("."), operation["operationId"]
            assert {"401", "403", "404", "422", "503"} <= operation["responses"].keys()
    assert len(names) == len(set(names))


@pytest.fixture
def real(cast: Cast, database: Any, settings: Any) -> Iterator[Stage]:
    """An agency that can search, with sequencer and signer at work."""
    stage = build(cast)
    with running_log(database.home, settings.GLASSCASE_LOG_ORIGIN):
        yield stage


def things(stage: Stage) -> dict[str, Callable[[], Any]]:
    """For each parameter of an address, something that is really there."""
    done, numbers = stage.done(), itertools.count(20_000)
    return {
        "request_id": lambda: stage.drafted().pk,
        "kind": lambda: "intent",
        "person_id": lambda: somebody(stage.cast).pk,
        "case_id": lambda: (
            cases.open_case(by=stage.cast.olivia, number=f"2026-{next(numbers):05}", offence="robbery").pk
        ),
        "gallery_id": lambda: stage.gallery.pk,
        "edition": lambda: done.edition,
        "enrolled_id": uuid.uuid4,
        "template": lambda: stage.templates[0],
        "entry_id": lambda: done.intent,
        "code": lambda: "utah",
        "name": lambda: "k_max",
        "model_hash": lambda: stage.model.hash,
    }


def readers(path: str, method: str) -> Access:
    """Who may use an operation."""
    view: Any = resolve(path).func
    found = getattr(getattr(view.cls, method), "access", None) or declared(view)
    assert isinstance(found, Access)
    return found


@pytest.mark.slow
def test_whatever_is_asked_the_answer_is_one_that_the_schema_knows(real: Stage) -> None:
    """Valid and invalid requests made from the schema, most of them about things that are there, as people who may."""
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    from core import tokens

    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema/", application)
    bearer = {role: tokens.issue(by=user, name="fuzz")[1] for role, user in real.cast.by_role.items()}
    there = things(real)
    asked: dict[int, int] = {}
    wrong: list[str] = []

    def ask(operation: Any, mode: GenerationMode) -> None:
        sample = operation.path
        for name in [one.name for one in operation.path_parameters]:
            sample = sample.replace(f"{{{name}}}", "1" if name == "edition" else str(uuid.UUID(int=1)))
        allowed = readers(sample, operation.method)
        roles = [role for role, user in real.cast.by_role.items() if allowed.allows(user)]

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=operation.as_strategy(generation_mode=mode),
            role=st.sampled_from(roles),
            real_one=st.sampled_from((True, True, True, False)),
        )
        def example(case: Any, role: str, real_one: bool) -> None:
            if real_one:
                for name in case.path_parameters or {}:
                    if name in there:
                        case.path_parameters[name] = str(there[name]())
            response = case.call(headers={"Authorization": f"Bearer {bearer[role]}"})
            asked[response.status_code] = asked.get(response.status_code, 0) + 1
            case.validate_response(response, checks=checks)

        try:
            example()
        except (Exception, BaseExceptionGroup) as error:
            said = "; ".join(map(str, getattr(error, "exceptions", [error])))
            wrong.append(f"{operation.method.upper()} {operation.path} ({mode.value}): {said}")

    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # raises for what is no operation
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            ask(operation, mode)
    assert sum(asked.values()) > 500, asked
    assert {200, 404, 422} <= asked.keys(), asked
    assert wrong == [], "\n\n".join(wrong)
