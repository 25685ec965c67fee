"""`/log/checkpoint` and `/log/tile/…`: the log as C2SP tlog-tiles, for programs; `/log/1/…` is one that was succeeded.

Checkpoint and hash tiles hold nothing personal: GLASSCASE_LOG_OPEN opens them to everybody, else whoever signs in may have
them. Entries need a role that reads the log, by session or by `Authorization: Bearer` (or `Token`), and are logged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.http import HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from audit.log import serving, storage
from audit.log.verifier_keys import NoVerifierKey
from audit.oversight import bundles
from audit.oversight.reading import log_connection
from audit.permissions import check_can_read_log
from core import access
from core.exceptions import NotFound, Unavailable
from core.models import ApiToken, User
from core.person_roles import Permission


class _AnyType(BaseContentNegotiation):
    """One representation, whatever the reader says to accept: problems come as JSON."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> None:
        return None

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        chosen = next(iter(renderers))
        return chosen, str(chosen.media_type)


class _LogView(APIView):
    """No part of the API's schema: the formats are C2SP's."""

    content_negotiation_class = _AnyType
    schema = None


class _OpenBySetting(_LogView):
    access = access.SIGNED_IN

    # Where the setting opens these tiles nobody is asked who they are, so that no answer depends on it.
    def get_permissions(self) -> Any:
        return [] if settings.GLASSCASE_LOG_OPEN else super().get_permissions()

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [] if settings.GLASSCASE_LOG_OPEN else super().get_authenticators()


class CheckpointView(_OpenBySetting):
    """The last signed checkpoint."""

    def get(self, request: Request, number: int | None = None) -> HttpResponse:
        try:
            with log_connection() as connection:
                return _answer(serving.checkpoint(connection, storage.origin(connection, number)))
        except LookupError:
            raise NotFound("Nothing is signed yet. Start the sequencer and the signer, or try again.") from None
        except NoVerifierKey as error:
            raise Unavailable(str(error)) from None


class HashTileView(_OpenBySetting):
    """One tile of hashes."""

    def get(self, request: Request, path: str, number: int | None = None) -> HttpResponse:
        return _tile(f"tile/{path}", number)


class EntriesView(_LogView):
    """One bundle of entries."""

    access = access.Access.having(Permission.READ_LOG)

    def get(self, request: Request, path: str, number: int | None = None) -> HttpResponse:
        user = request.user
        assert isinstance(user, User)
        check_can_read_log(user)
        answer = _tile(f"tile/entries/{path}", number)
        bundles.record(user, request.auth if isinstance(request.auth, ApiToken) else None)
        return answer


def _tile(path: str, number: int | None) -> HttpResponse:
    try:
        wanted = serving.tile_at(path)
        with log_connection() as connection:
            log = storage.origin(connection, number)
            return _answer(serving.tile(connection, wanted, shared=settings.GLASSCASE_LOG_OPEN, of=log))
    except LookupError:
        raise NotFound("The signed log has no such tile.") from None
    except NoVerifierKey as error:
        raise Unavailable(str(error)) from None


def _answer(served: serving.Served) -> HttpResponse:
    response = HttpResponse(served.body, content_type=served.content_type)
    response["Cache-Control"] = served.caching
    response["X-Content-Type-Options"] = "nosniff"
    return response
