"""/api/v1/tokens/: one's own API tokens, listed and revoked.

They are made on the web only, after confirming that it is you: a stolen token must not make its own successor.
"""

from __future__ import annotations

import uuid

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core import tokens
from core.access import SIGNED_IN
from core.api.schema import operation
from core.api.views import Pages, View
from core.exceptions import NotFound
from core.models import ApiToken


class TokenOut(serializers.Serializer):
    """A token without its text."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class Tokens(View):
    """One's tokens that work."""

    access = SIGNED_IN
    pagination_class = Pages

    @operation("list_tokens", "One's own tokens that work now.", gives=TokenOut(many=True))
    def get(self, request: Request) -> Response:
        return self.pages(TokenOut, tokens.live(self.person))


class Token(View):
    """One token."""

    access = SIGNED_IN

    @operation("revoke_token", "Voids a token at once: one's own, or of a person whom one manages.", status=204)
    def delete(self, request: Request, token_id: uuid.UUID) -> Response:
        token = ApiToken.objects.select_related("user").filter(pk=token_id).first()
        if token is None:
            raise NotFound("There is no such token.")
        tokens.revoke(by=self.person, token=token)
        return Response(status=204)
