"""The filter of the log browser, the forms of reports and findings, and a new court link."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

from audit.log import absence, events
from audit.models import Evaluation
from audit.oversight import court_links
from audit.oversight.entries import Filter
from audit.permissions import can_open_sealed
from core.forms import ServiceForm
from core.models import User
from search import selectors

_FAMILIES = {
    "search:case": "Everything about cases",
    "search:request": "Everything about requests",
    "search": "Everything about searches",
    "gate": "Everything of the gate",
    "gallery": "Everything about galleries",
    "core:user": "Everything about people",
    "evaluation": "Everything about evaluations",
    "vault": "Everything about sealed values",
    "log": "Everything about the log",
}


def _choices() -> list[tuple[str, Any]]:
    single = [(event.type, f"{event.sentence.rstrip('.')} ({event.type})") for event in events.REGISTRY.values()]
    return [("", "Every event"), ("Groups", list(_FAMILIES.items())), ("Single events", single)]


_DAYS = (MinValueValidator(date(2000, 1, 1)), MaxValueValidator(date(2199, 12, 31)))


_NUMBERS = re.compile(r"(\d{1,18})(?:\s*[-–]\s*(\d{1,18}))?", re.ASCII)


class FilterForm(forms.Form):
    """Event, case, search, person, entry numbers, time. `chosen` is the filter."""

    event = forms.ChoiceField(required=False, choices=_choices)
    case = forms.CharField(required=False, max_length=60, label="Case number or id")
    search = forms.UUIDField(
        required=False, label="Id of a search", error_messages={"invalid": "Give the whole id of the search."}
    )
    person = forms.CharField(required=False, max_length=150, label="Username or id of a person")
    number = forms.CharField(
        required=False, max_length=40, label="Entry number, or from–to", help_text="Such as 120 or 120-180."
    )
    since = forms.DateField(
        required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}), validators=_DAYS
    )
    until = forms.DateField(
        required=False, label="Until (inclusive)", widget=forms.DateInput(attrs={"type": "date"}), validators=_DAYS
    )
    without_readings = forms.BooleanField(required=False, label="Leave out readings of the log itself")

    def __init__(self, data: Any, *, by: User) -> None:
        super().__init__(data)
        self._by = by

    def clean_case(self) -> uuid.UUID | None:
        """The case's id: any id, or the number of a case that this person may know of."""
        typed = self.cleaned_data["case"].strip()
        identity = _identity(typed)
        if not typed or identity is not None:
            return identity
        found = list(selectors.cases(self._by).filter(number__iexact=typed.replace(" ", ""))[:2])
        if len(found) != 1:
            raise forms.ValidationError(
                "Several agencies have a case with this number. Give the case's id."
                if found
                else "There is no case with this number for you. Check the number, or give the case's id."
            )
        identity_of_case: uuid.UUID = found[0].pk
        return identity_of_case

    def clean_person(self) -> uuid.UUID | None:
        """The person's id: any id, or the username of somebody whose name this person may see."""
        typed = self.cleaned_data["person"].strip()
        identity = _identity(typed)
        if not typed or identity is not None:
            return identity
        person = User.objects.filter(username__iexact=typed).first() if can_open_sealed(self._by) else None
        if person is None:
            raise forms.ValidationError(
                "There is nobody with this username for you. Check it, or give the person's id."
            )
        return person.id

    def clean_number(self) -> tuple[int, int] | None:
        """The first and the last entry number."""
        typed = self.cleaned_data["number"].strip()
        if not typed:
            return None
        found = _NUMBERS.fullmatch(typed)
        if found is None:
            raise forms.ValidationError("Give one entry number, or two with a hyphen between them: 120-180.")
        return int(found[1]), int(found[2] or found[1])

    def chosen(self) -> Filter:
        """The filter of a valid form."""
        data = self.cleaned_data
        first, last = data["number"] or (None, None)
        return Filter(
            type=data["event"],
            case=data["case"],
            request=data["search"],
            person=data["person"],
            first=first,
            last=last,
            since=_midnight(data["since"]),
            until=_midnight(data["until"] + timedelta(days=1)) if data["until"] else None,
            without_readings=data["without_readings"],
        )


class AbsenceForm(ServiceForm):
    """A case number, and the entries among which its searches are looked for."""

    number = forms.CharField(
        max_length=absence.LONGEST_NUMBER,
        label="Case number",
        help_text="However it is spelled: capitals, spaces and kinds of dashes do not matter.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    first = forms.IntegerField(
        required=False, min_value=0, label="First entry", help_text="Empty: the first of the log."
    )
    last = forms.IntegerField(
        required=False, min_value=0, label="Last entry", help_text="Empty: the last one that is signed."
    )


class CourtLinkForm(ServiceForm):
    """For whom a link is, and how long it works."""

    recipient = forms.ChoiceField(
        label="Whom the link is for", choices=[("", "Choose…"), *court_links.RECIPIENTS.items()]
    )
    days = forms.TypedChoiceField(
        label="How long it works",
        coerce=int,
        choices=[(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "one year")],
        initial=court_links.DEFAULT_DAYS,
    )


def _identity(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


_VERDICTS = [("", "Every verdict"), ("met", "Met"), ("not_met", "Not met"), ("cannot_be_shown", "Cannot be shown")]


class ReportFilterForm(forms.Form):
    """Face model, benchmark set, verdict; nothing chosen is everything."""

    face_model = forms.ChoiceField(required=False, label="Face model")
    set_hash = forms.ChoiceField(required=False, label="Benchmark set")
    verdict = forms.ChoiceField(required=False, choices=_VERDICTS)

    def __init__(self, data: Any, *, models: list[tuple[str, str]], sets: list[tuple[str, str]]) -> None:
        super().__init__(data)
        self.fields["face_model"].choices = [("", "Every face model"), *models]  # type: ignore[attr-defined]
        self.fields["set_hash"].choices = [("", "Every set"), *sets]  # type: ignore[attr-defined]


class CompareForm(forms.Form):
    """Two different reports."""

    first = forms.ChoiceField(label="First report")
    second = forms.ChoiceField(label="Second report")

    def __init__(self, data: Any = None, *, found: list[Evaluation]) -> None:
        super().__init__(data)
        listed = [(str(one.pk), f"{one.title}, {one.published_at:%d %B %Y, %H:%M}") for one in found]
        for name in ("first", "second"):
            self.fields[name].choices = listed  # type: ignore[attr-defined]
        if len(listed) > 1:
            self.fields["first"].initial, self.fields["second"].initial = listed[1][0], listed[0][0]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("first") and data.get("first") == data.get("second"):
            self.add_error("second", "Choose another report than the first one.")
        return data


class FindingForm(ServiceForm):
    """What the board found, and what it is about."""

    text = forms.CharField(
        label="What was found, and what should happen",
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="It is sealed in the log: name no suspect or victim unless the finding needs it.",
    )
    report = forms.UUIDField(required=False, label="Id of a report that it is about")
    entry = forms.UUIDField(required=False, label="Id of an entry of the log that it is about")


class ResolutionForm(ServiceForm):
    """What came of a finding."""

    resolution = forms.CharField(label="What came of it", widget=forms.Textarea(attrs={"rows": 4}))
