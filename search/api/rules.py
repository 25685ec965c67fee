"""/api/v1/law-packs/ and /api/v1/vocabulary/: what a search has to say, and in which words."""

from __future__ import annotations

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from core.access import SIGNED_IN
from core.api.schema import operation
from core.api.views import View
from core.exceptions import NotFound
from search import law, vocabulary
from search.law_pack import LawPack


class TermOut(serializers.Serializer):
    """A code and what people read."""

    code = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field may be called so all the same
    description = serializers.CharField()


class OffenceOut(TermOut):
    """An offence and how grave it is."""

    offence_class = serializers.ChoiceField(choices=[one.value for one in vocabulary.OffenceClass])


class VocabularyOut(serializers.Serializer):
    """The closed lists."""

    purposes = TermOut(many=True)
    prohibited_purposes = TermOut(many=True)
    offences = OffenceOut(many=True)
    legal_bases = TermOut(many=True)
    probe_kinds = TermOut(many=True)
    attachment_kinds = TermOut(many=True)
    gallery_bases = TermOut(many=True)


class LawPackOut(serializers.Serializer):
    """An edition of a jurisdiction's rules."""

    code = serializers.CharField()
    name = serializers.CharField()
    summary = serializers.CharField()
    effective_from = serializers.DateField()
    effective_to = serializers.DateField(allow_null=True)
    in_force = serializers.SerializerMethodField()

    def get_in_force(self, pack: LawPack) -> bool:
        return pack.in_force(timezone.now())


class RequirementsAsked(serializers.Serializer):
    """What was chosen so far."""

    purpose = serializers.CharField(required=False, allow_blank=True, default="", max_length=80)
    offence = serializers.CharField(required=False, allow_blank=True, default="", max_length=80)
    emergency = serializers.BooleanField(required=False, default=False)


class RequirementOut(serializers.Serializer):
    """One thing that the law pack asks. Where `verified` is false, check the primary text."""

    field = serializers.CharField()
    sentence = serializers.CharField()
    citation = serializers.CharField()
    verified = serializers.BooleanField()


class LawPacks(View):
    """The law packs."""

    access = SIGNED_IN

    @operation("list_law_packs", "Every edition of every law pack.", gives=LawPackOut(many=True))
    def get(self, request: Request) -> Response:
        return self.answer(LawPackOut, law.packs(), many=True)


class Requirements(View):
    """What a law pack asks."""

    access = SIGNED_IN

    @operation(
        "list_requirements",
        "What a law pack asks for this purpose and offence today.",
        query=RequirementsAsked,
        gives=RequirementOut(many=True),
    )
    def get(self, request: Request, code: str) -> Response:
        given = self.asked(RequirementsAsked)
        try:
            pack = law.pack(code, timezone.now())
        except law.NoLawPack as reason:
            raise NotFound(str(reason)) from None
        asked = law.requirements(pack, given["purpose"], given["offence"], emergency=given["emergency"])
        return self.answer(RequirementOut, asked, many=True)


class Vocabulary(View):
    """The closed lists."""

    access = SIGNED_IN

    @operation("read_vocabulary", "The codes of purposes, offences and all other lists.", gives=VocabularyOut)
    def get(self, request: Request) -> Response:
        lists = {
            "purposes": vocabulary.PURPOSES,
            "prohibited_purposes": vocabulary.PROHIBITED_PURPOSES,
            "offences": vocabulary.OFFENCES,
            "legal_bases": vocabulary.LEGAL_BASES,
            "probe_kinds": vocabulary.PROBE_KINDS,
            "attachment_kinds": vocabulary.ATTACHMENT_KINDS,
            "gallery_bases": vocabulary.GALLERY_BASES,
        }
        return self.answer(VocabularyOut, {name: list(terms.values()) for name, terms in lists.items()})
