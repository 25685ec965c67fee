"""Forms of reviews, leads and outcomes. They shape what was typed; what is right or wrong the services decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from core.exceptions import Invalid
from core.forms import ServiceForm
from search.comparison import Finding
from search.readings import CandidateRow
from search.vocabulary import CONCLUSIONS, FEATURES, QUALITY_CAVEATS, choices


def _boxes(terms: Mapping[str, Any], label: str, help_text: str = "") -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        choices=choices(terms), required=False, label=label, help_text=help_text, widget=forms.CheckboxSelectMultiple
    )


class FindingForm(ServiceForm):
    """What an examiner says about one candidate; the prefix is the candidate's template."""

    conclusion = forms.ChoiceField(
        choices=choices(CONCLUSIONS), required=False, label="Your conclusion", widget=forms.RadioSelect
    )
    alike = _boxes(FEATURES, "Features that agree")
    different = _boxes(FEATURES, "Features that differ")
    caveats = _boxes(QUALITY_CAVEATS, "What limits the comparison")

    def finding(self) -> Finding:
        """What was chosen; a code on no list was left out by the field, which says so."""
        return Finding.of({"template": self.prefix, **self.cleaned_data})


class ReviewNoteForm(ServiceForm):
    """The words beside the conclusions."""

    note = forms.CharField(
        required=False,
        label="Note",
        help_text="What the lists cannot say, above all how you explain differences. Sealed; the other examiner does not see it.",
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 4, "class": "low"}),
    )


def finding_forms(rows: Iterable[CandidateRow], data: Any = None) -> list[FindingForm]:
    """One form for each candidate, in the order of the page."""
    return [FindingForm(data, prefix=str(row.template)) for row in rows]


def refuse(found: list[FindingForm], note: ReviewNoteForm, error: Invalid) -> None:
    """Puts what a decision lacks where it belongs: `<template>:<field>` at that candidate, everything else at the note."""
    rest: dict[str, list[str]] = {}
    for name, sentences in error.field_errors.items():
        template, _, field = name.rpartition(":")
        form = next((one for one in found if one.prefix == template), None)
        if form is None:
            rest[name] = sentences
            continue
        for sentence in sentences:
            form.add_error(field, sentence)
    note.refuse(Invalid(error.sentence, rest))
