"""Searches by the dozen through the gate's own functions, with vectors in the place of photos."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit.log import entries
from audit.log.commitments import Opening
from bench.installation import Installation
from search.gate import client, params


@dataclass(frozen=True)
class Edition:
    """A gallery edition to search."""

    gallery: uuid.UUID
    edition: int
    model: str


@dataclass(frozen=True)
class Search:
    """One search: `digest` is what is approved, `claim_secret` what binds and executes it."""

    intent: entries.Entry
    request: uuid.UUID
    digest: bytes
    claim_secret: bytes


def composed(installation: Installation, edition: Edition, *, threshold: int = 400_000, k: int = 10) -> Search:
    """A search of which nothing is written yet; the clock of its intent has begun."""
    secret = secrets.token_bytes(32)
    fields: dict[str, Any] = {
        "request": uuid.uuid4(),
        "case": uuid.uuid4(),
        "requester": installation.cast.users["olivia"].id,
        "purpose": "identify_suspect",
        "offence": "robbery",
        "legal_basis": "fair_probability",
        "gallery": edition.gallery,
        "edition": edition.edition,
        "model": edition.model,
        "threshold": threshold,
        "k": k,
        "emergency": False,
        "claim": hashlib.sha256(secret).hexdigest(),
        "expires": int(time.time() * 1000) + 3_600_000,
    }
    photo, box = Opening.of("photo", secrets.token_hex(32)), Opening.of("box", [10, 10, 90, 90])
    digest = params.search(fields, photo=photo.commitment, box=box.commitment)
    entry = entries.compose("search:intent:filed", openings=[photo, box], params=digest.hex(), **fields)
    return Search(entry, fields["request"], digest, secret)


def bound(
    installation: Installation, edition: Edition, probes: Sequence[NDArray[np.float32]], *, threshold: int, k: int
) -> list[Search]:
    """Approved, filed and bound searches, one a probe, that wait for nothing but their execution."""
    app, sam, secret = installation.app, installation.cast.users["sam"].id, installation.secret("sam")
    searches = []
    for _ in probes:
        one = composed(installation, edition, threshold=threshold, k=k)
        proposal = client.propose(
            app, act=params.SEARCH_ACT, params=one.digest, approver=sam, secret=secret, subject=one.request
        )
        assert client.approve(app, proposal), "the secret is the one that was enrolled"
        app.execute("SELECT log.append(%s)", [one.intent.body])
        searches.append(one)
    for one in searches:
        installation.covered(one.intent.id)
    bindings = [
        client.bind(app, intent=one.intent.id, probe=probe, claim_secret=one.claim_secret)
        for one, probe in zip(searches, probes, strict=True)
    ]
    for binding in bindings:
        installation.sequenced(binding)
    return searches


def candidates(installation: Installation, searches: Sequence[Search]) -> list[tuple[client.Candidate, ...]]:
    """The candidates of executed searches, read as an examiner reads them: once the signed log has result and reading."""
    app, views = installation.app, []
    for search in searches:
        secret = secrets.token_bytes(32)
        entry = entries.compose(
            "search:candidates:viewed",
            request=search.request,
            viewer=installation.cast.users["erin"].id,
            claim=hashlib.sha256(secret).hexdigest(),
        )
        app.execute("SELECT log.append(%s)", [entry.body])
        views.append((entry.id, secret))
    for view, _ in views:
        installation.covered(view)
    return [client.candidates(app, view, secret).candidates for view, secret in views]
