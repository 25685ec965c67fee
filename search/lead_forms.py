"""Forms of leads, outcomes and disclosures. They shape what was typed; what is right or wrong the services decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms

from core.forms import ServiceForm
from search.forms import asked
from search.outcome_rules import OutcomeFields
from search.readings import CandidateRow
from search.vocabulary import EVIDENCE_KINDS, PROCEDURES, TRUTHS, choices


def _note(label: str, help_text: str = "") -> forms.CharField:
    area = forms.Textarea(attrs={"rows": 3, "class": "low"})
    return forms.CharField(required=False, label=label, help_text=help_text, max_length=2000, widget=area)


class ReleaseForm(ServiceForm):
    """Which of the candidates that both examiners support become leads."""

    templates = forms.MultipleChoiceField(
        required=False, label="Candidates to release", widget=forms.CheckboxSelectMultiple
    )
    note = _note("Note", "To release: what the officer should know. To withhold: your reason. Sealed with the request.")

    def __init__(self, *args: Any, rows: Iterable[CandidateRow], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["templates"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(str(row.template), f"Candidate at rank {row.rank}") for row in rows]


class OutcomeForm(ServiceForm):
    """What became of a lead."""

    truth = forms.ChoiceField(
        choices=choices(TRUTHS),
        required=False,
        label="Who the lead was",
        help_text="Only what evidence independent of the search shows. The lead does not count, nor a lineup after it.",
        widget=forms.RadioSelect,
    )
    evidence = forms.MultipleChoiceField(
        choices=choices(EVIDENCE_KINDS),
        required=False,
        label="Evidence independent of the search",
        widget=forms.CheckboxSelectMultiple,
    )
    procedure = asked(
        forms.ChoiceField(
            choices=[("", "Choose"), *choices(PROCEDURES)],
            required=False,
            label="What became of the case",
            help_text="This says nothing about whether the lead was right.",
        )
    )
    disclosed_on = forms.DateField(
        required=False,
        label="Defence told on",
        help_text="The day on which the defence was told that face recognition was used.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    note = _note("Note", "Sealed with the request.")

    def outcome(self) -> OutcomeFields:
        """What was typed."""
        return OutcomeFields(**{**self.cleaned_data, "evidence": tuple(self.cleaned_data["evidence"])})


class DisclosureForm(ServiceForm):
    """To whom a search is disclosed, and how much of it."""

    recipient = asked(
        forms.CharField(
            required=False,
            max_length=200,
            label="Recipient",
            help_text="Name and office, for example counsel for the defence.",
        )
    )
    reason = asked(_note("Reason", "The case of the court, the order or the rule that asks for it."))
    names_examiners = forms.BooleanField(
        required=False, label="Name the examiners (otherwise: first and second examiner)"
    )
    with_photos = forms.BooleanField(
        required=False, label="Put in the photos of all candidates, also of people who became no lead"
    )
    photos_reason = _note("Why the photos of other people have to be in it")
