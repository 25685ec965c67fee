"""The API as its users call it: HTTP with a person's token, JSON in and out."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from core import tokens
from core.models import User


@dataclass
class Api:
    """`api.as_(person)` is a caller with a token of that person."""

    callers: dict[Any, Caller] = field(default_factory=dict)

    def as_(self, person: User) -> Caller:
        if person.pk not in self.callers:
            self.callers[person.pk] = Caller(tokens.issue(by=person, name="tests")[1])
        return self.callers[person.pk]


@dataclass
class Caller:
    """Somebody with a token. Addresses are given without /api/v1."""

    token: str
    scheme: str = "Bearer"

    def __call__(
        self, method: str, address: str, body: Any = None, content_type: str = "application/json", **headers: str
    ) -> Any:
        data = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        said = {"Authorization": f"{self.scheme} {self.token}", **headers}
        if method == "GET":
            return Client().get(f"/api/v1{address}", headers=said)
        return Client().generic(method, f"/api/v1{address}", data, content_type, headers=said)

    def get(self, address: str) -> Any:
        """The JSON of a GET that succeeds."""
        return expect(self("GET", address), 200)

    def post(self, address: str, status: int = 200, **body: Any) -> Any:
        """The JSON of a POST that answers `status`."""
        return expect(self("POST", address, body), status)

    def put(self, address: str, status: int = 200, **body: Any) -> Any:
        return expect(self("PUT", address, body), status)

    def patch(self, address: str, status: int = 200, **body: Any) -> Any:
        return expect(self("PATCH", address, body), status)

    def send(
        self, address: str, content: bytes, name: str, field: str = "file", method: str = "POST", **form: str
    ) -> Any:
        """A form with a file."""
        from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

        data = encode_multipart(BOUNDARY, {**form, field: SimpleUploadedFile(name, content)})
        return self(method, address, data, MULTIPART_CONTENT)


def expect(response: Any, status: int) -> Any:
    """The JSON of an answer; every refusal has the one shape."""
    assert response.status_code == status, (response.status_code, response.content[:2000])
    found = json.loads(response.content)
    if status >= 400:
        assert list(found) == ["code", "sentence", "fields", "refusals"]
        assert found["sentence"].endswith((".", "…`.", ".)"))
    assert response["Cache-Control"] == "no-store"
    return found
