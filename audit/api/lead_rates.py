"""/api/v1/lead-rates/: how often released leads were wrong."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from audit.fairness import operational
from audit.fairness.operational import Share
from audit.oversight import lead_rates
from core.access import Access
from core.api.schema import operation
from core.api.views import View
from core.person_roles import Permission


def _number(help_text: str = "") -> serializers.FloatField:
    return serializers.FloatField(allow_null=True, help_text=help_text)


class ShareOut(serializers.Serializer):
    """The false-discovery rate of the leads of one group; numbers are null where they are too small to be shown."""

    name = serializers.CharField()
    state = serializers.ChoiceField(choices=("shown", "too_few", "undefined"))
    leads = serializers.IntegerField(allow_null=True)
    cases = serializers.IntegerField(allow_null=True)
    known = serializers.IntegerField(allow_null=True, help_text="Leads of which it is known who they were.")
    wrong = serializers.IntegerField(allow_null=True)
    rate = _number("wrong / known")
    low = _number("Lower end of the 95 % interval, clustered by case.")
    high = _number()
    if_right = _number("What the rate would be if all leads of unknown truth had been right.")
    if_wrong = _number("The same if all of them had been wrong.")
    sentence = serializers.SerializerMethodField()

    def get_sentence(self, share: Share) -> str:
        return operational.sentence(share)


class DivisionOut(serializers.Serializer):
    """The leads divided by one property."""

    name = serializers.CharField()
    shares = ShareOut(many=True)


class LeadRatesOut(serializers.Serializer):
    """The false-discovery rate of released leads, all together and divided."""

    total = ShareOut()
    divisions = DivisionOut(many=True)


class LeadRates(View):
    """How often leads were wrong."""

    access = Access.having(Permission.READ_LOG)

    @operation("read_lead_rates", "How often released leads were wrong; reading it is an entry.", gives=LeadRatesOut)
    def get(self, request: Request) -> Response:
        return self.answer(LeadRatesOut, lead_rates.read(self.person, "api"))
