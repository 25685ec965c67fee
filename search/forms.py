"""Forms of cases, searches and galleries. They shape what was typed; what is right or wrong the services decide.

So almost no field is required here: an empty one goes to the rules, which say what is missing and write it into the log.
`asked` marks a field that the rules ask for, so that the page does not call it optional.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.core.validators import ProhibitNullCharactersValidator

from audit.log import approval_proofs
from audit.log.approval_proofs import Assertion
from core.forms import ServiceForm
from core.models import User
from search.gathering import RequestFields
from search.models import Gallery
from search.shards import ServerTrouble
from search.sub_galleries import of_gallery
from search.vocabulary import (
    ATTACHMENT_KINDS,
    GALLERY_BASES,
    LEGAL_BASES,
    OFFENCES,
    PROBE_KINDS,
    PURPOSES,
    OffenceClass,
    choices,
)

Choices = list[tuple[str, Any]]

_CLASS_LABELS: Final = {
    OffenceClass.VIOLENT_FELONY: "Violent felonies",
    OffenceClass.FELONY: "Felonies",
    OffenceClass.VIOLENT_MISDEMEANOR: "Violent misdemeanours",
    OffenceClass.MISDEMEANOR: "Misdemeanours",
    OffenceClass.INFRACTION: "Infractions",
    OffenceClass.THREAT: "Threats",
    OffenceClass.NO_CRIME: "No crime named",
}
_MICRO: Final = Decimal(1_000_000)
_PLAIN: Final = {"autocomplete": "off", "spellcheck": "false"}
_CASE_NUMBER: Final = {**_PLAIN, "autocapitalize": "characters", "class": "mono"}


def offence_choices() -> Choices:
    """The offences by class, as grouped options."""
    grouped: dict[OffenceClass, Choices] = defaultdict(list)
    for offence in OFFENCES.values():
        grouped[offence.offence_class].append((offence.code, offence.label))
    return [("", "Choose"), *((_CLASS_LABELS[one], found) for one, found in grouped.items())]


def _choose(found: Iterable[tuple[str, Any]]) -> Choices:
    return [("", "Choose"), *found]


def _parts(offered: Iterable[Gallery]) -> Choices:
    """Every gallery's sub-galleries under its name, and first of all none; those of a gallery with a server away are not known."""
    found = []
    for one in offered:
        with suppress(ServerTrouble):
            found.append(
                (one.name, [(part.name, f"{part.name} ({part.templates:,} photos)") for part in of_gallery(one)])
            )
    return [("", "Everybody in the gallery"), *((name, parts) for name, parts in found if parts)]


def asked(field: forms.Field) -> Any:
    field.asked = True  # type: ignore[attr-defined]
    return field


class OpenChoiceField(forms.ChoiceField):
    """A choice whose answer the rules judge: what is on no list is refused by them, with an entry of the log."""

    default_validators = [ProhibitNullCharactersValidator()]  # noqa: RUF012 - Django declares it so; PostgreSQL takes none

    def valid_value(self, value: Any) -> bool:
        return True


class OfficersField(forms.MultipleChoiceField):
    """Officers of the agency, one box each; cleaned to users."""

    widget = forms.CheckboxSelectMultiple

    def __init__(self, people: Sequence[User] = (), **options: Any) -> None:
        super().__init__(required=False, **options)
        self.offer(people)

    def offer(self, people: Sequence[User]) -> None:
        """Set who can be chosen."""
        self.people = {str(one.pk): one for one in people}
        self.choices = [
            (key, f"{one} ({one.badge_number})" if one.badge_number else str(one)) for key, one in self.people.items()
        ]

    def clean(self, value: Any) -> list[User]:
        return [self.people[key] for key in super().clean(value)]


class CaseForm(ServiceForm):
    """A new case."""

    case_number = asked(forms.CharField(required=False, max_length=200, widget=forms.TextInput(attrs=_CASE_NUMBER)))
    offence = asked(
        forms.ChoiceField(
            required=False,
            choices=offence_choices,
            help_text="What the case is about. It decides what may be searched for.",
        )
    )
    officers = OfficersField(help_text="Only officers of a case may request searches in it.")

    def __init__(self, *args: Any, by: User, officers: Sequence[User], assigns: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if by.agency is not None and by.agency.case_number_example:
            self.fields["case_number"].help_text = f"As on the file, for example {by.agency.case_number_example}."
        if assigns:
            field = self.fields["officers"]
            assert isinstance(field, OfficersField)
            field.offer(officers)
        else:
            del self.fields["officers"]


class OfficersForm(ServiceForm):
    """Who works on a case."""

    officers = OfficersField()

    def __init__(self, *args: Any, officers: Sequence[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["officers"]
        assert isinstance(field, OfficersField)
        field.offer(officers)


class SearchForm(ServiceForm):
    """One search request, whole on one page."""

    case_number = asked(
        forms.CharField(
            required=False, max_length=200, widget=forms.TextInput(attrs={**_CASE_NUMBER, "list": "my-cases"})
        )
    )
    offence = asked(
        OpenChoiceField(
            required=False, choices=offence_choices, help_text="The offence of the case, as the case was opened."
        )
    )
    purpose = asked(OpenChoiceField(required=False, choices=lambda: _choose(choices(PURPOSES))))
    legal_basis = asked(OpenChoiceField(required=False, choices=lambda: _choose(choices(LEGAL_BASES))))
    justification = asked(
        forms.CharField(
            required=False,
            strip=False,
            max_length=20_000,
            help_text=(
                "Tell what happened, who the person in the photo is to this case, and which facts connect them to it. "
                "The approver, counsel, the oversight board and a court may read it."
            ),
            widget=forms.Textarea(attrs={"rows": 8, "data-counter": "justification-count"}),
        )
    )
    emergency = forms.BooleanField(
        required=False,
        label="This is an emergency: a life is at risk and the search cannot wait for an approval",
        help_text="Approval and documents have to follow within the deadline, or the result is sealed.",
    )
    probe = asked(
        forms.FileField(
            required=False,
            label="Photo file",
            help_text="JPEG, PNG or WebP, at most 20 MB. Position data and other metadata are removed.",
            widget=forms.FileInput(attrs={"accept": "image/jpeg,image/png,image/webp"}),
        )
    )
    probe_kind = asked(
        OpenChoiceField(required=False, label="What the photo is", choices=lambda: _choose(choices(PROBE_KINDS)))
    )
    chosen_face = forms.IntegerField(required=False, label="Face to search for", widget=forms.HiddenInput)
    attachment_kind = OpenChoiceField(
        required=False, label="What the document is", choices=lambda: _choose(choices(ATTACHMENT_KINDS))
    )
    attachments = forms.FileField(
        required=False,
        label="Document",
        help_text="A court order, warrant or other authority: PDF, JPEG or PNG, at most 20 MB.",
        widget=forms.FileInput(attrs={"accept": "application/pdf,image/jpeg,image/png"}),
    )
    gallery = asked(OpenChoiceField(required=False))
    sub_gallery = OpenChoiceField(
        required=False,
        label="Part of the gallery",
        help_text="Only those photos of the gallery are searched. The approval is given for this part and no other.",
    )
    k = forms.IntegerField(
        required=False,
        label="Longest list of candidates",
        help_text="Left empty: 10. Fewer are shown when fewer reach the threshold.",
        widget=forms.NumberInput(attrs={"class": "short", "inputmode": "numeric"}),
    )
    threshold = forms.DecimalField(
        required=False,
        decimal_places=6,
        label="Threshold",
        help_text="Left empty: the adopted threshold of the gallery's face model. It can be raised, never lowered.",
        widget=forms.NumberInput(attrs={"class": "short", "step": "0.001", "inputmode": "decimal"}),
    )

    def __init__(self, *args: Any, galleries: Iterable[Gallery], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["gallery"]
        assert isinstance(field, forms.ChoiceField)
        offered = list(galleries)
        field.choices = _choose((str(one.pk), one.name) for one in offered)
        parts = self.fields["sub_gallery"]
        assert isinstance(parts, forms.ChoiceField)
        parts.choices = _parts(offered)
        if len(parts.choices) == 1:
            parts.widget = forms.HiddenInput()

    def typed(self) -> RequestFields:
        """What was typed, for the services: also when a field could not be read (then as if it were empty)."""
        values = self.cleaned_data
        threshold = values.get("threshold")
        return RequestFields(
            case_number=values.get("case_number", ""),
            justification=values.get("justification", ""),
            emergency=bool(values.get("emergency")),
            k=values.get("k"),
            threshold=None if threshold is None else int(threshold * _MICRO),
            offence=values.get("offence", ""),
            purpose=values.get("purpose", ""),
            legal_basis=values.get("legal_basis", ""),
            probe_kind=values.get("probe_kind", ""),
            gallery=values.get("gallery", ""),
            sub_gallery=values.get("sub_gallery", ""),
        )

    def refuse_each(self, refusals: Iterable[Any]) -> None:
        """Put the sentences of refused rules at their fields; those without a field stand above the form."""
        for refusal in refusals:
            self.add_error(refusal.field if refusal.field in self.fields else None, refusal.sentence)

    @staticmethod
    def initial_of(fields: RequestFields) -> dict[str, Any]:
        """What a draft holds, as the form shows it."""
        return {
            "case_number": fields.case_number,
            "offence": fields.offence,
            "purpose": fields.purpose,
            "legal_basis": fields.legal_basis,
            "justification": fields.justification,
            "gallery": fields.gallery,
            "sub_gallery": fields.sub_gallery,
            "probe_kind": fields.probe_kind,
            "emergency": fields.emergency,
            "k": fields.k,
            "threshold": None if fields.threshold is None else f"{fields.threshold / 1_000_000:.6f}".rstrip("0"),
        }


_SECRET: Final = {"autocomplete": "off", "spellcheck": "false", "class": "mono"}


class SecretForm(ServiceForm):
    """An approval, given with the approver's secret."""

    secret = asked(
        forms.CharField(
            required=False,
            label="Your approval secret",
            help_text="The secret that was shown to you once. Neither your password nor a code from your phone.",
            widget=forms.PasswordInput(attrs=_SECRET),
        )
    )


class ApprovalForm(SecretForm):
    """An approval of a search, proven by a passkey where one is enrolled."""

    passkey = forms.CharField(required=False, widget=forms.HiddenInput)

    def clean_passkey(self) -> Assertion | None:
        """What the passkey answered, as the browser's script writes it."""
        text = self.cleaned_data["passkey"]
        if not text:
            return None
        try:
            said = json.loads(text)
            parts = [said["response"][name] for name in ("authenticatorData", "clientDataJSON", "signature")]
            return Assertion(*(approval_proofs.decode(part.rstrip("=")) for part in (said["rawId"], *parts)))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise forms.ValidationError("The answer of the passkey cannot be read. Approve again.") from None


class NoteForm(ServiceForm):
    """A decision with its reason."""

    note = asked(
        forms.CharField(
            required=False,
            label="Reason",
            help_text="One or two sentences. They are kept with the request.",
            max_length=2000,
            widget=forms.Textarea(attrs={"rows": 3, "class": "low"}),
        )
    )


class GalleryForm(ServiceForm):
    """A new gallery."""

    name = asked(forms.CharField(required=False, max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"})))
    legal_basis = asked(
        forms.ChoiceField(required=False, label="Why it may exist", choices=lambda: _choose(choices(GALLERY_BASES)))
    )
    retention_days = asked(
        forms.IntegerField(
            required=False,
            label="How many days photos are kept",
            widget=forms.NumberInput(attrs={"class": "short", "inputmode": "numeric"}),
        )
    )
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3, "class": "low"}))


class ApproverForm(SecretForm):
    """An act on a gallery that another person approves here and now."""

    approver = asked(
        forms.ChoiceField(required=False, help_text="Somebody else, who is with you and types the secret.")
    )
    field_order: Sequence[str] = ("approver", "secret")

    def __init__(self, *args: Any, approvers: Sequence[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.people = {str(one.pk): one for one in approvers}
        field = self.fields["approver"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = _choose((key, str(one)) for key, one in self.people.items())
        self.fields["secret"].label = "Approval secret of that person"

    @property
    def signer(self) -> User | None:
        """Who was chosen."""
        return self.people.get(self.cleaned_data.get("approver", ""))


class EditionForm(ApproverForm):
    """A new edition of a gallery under a face model."""

    face_model = asked(forms.ChoiceField(required=False, label="Face model"))
    field_order = ("face_model", "approver", "secret")

    def __init__(self, *args: Any, face_models: Choices, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["face_model"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = _choose(face_models)


class SwitchForm(ApproverForm):
    """Another edition to be searched; `missing` is what the page tells: how many people will not be found any more."""

    missing = forms.IntegerField(min_value=0, required=False, widget=forms.HiddenInput)


class TwoApproversForm(ServiceForm):
    """An act of the gate: two different approvers sign it together."""

    approver_1 = asked(forms.ChoiceField(required=False, label="First approver"))
    secret_1 = asked(
        forms.CharField(required=False, label="Approval secret of the first", widget=forms.PasswordInput(attrs=_SECRET))
    )
    approver_2 = asked(forms.ChoiceField(required=False, label="Second approver"))
    secret_2 = asked(
        forms.CharField(
            required=False, label="Approval secret of the second", widget=forms.PasswordInput(attrs=_SECRET)
        )
    )

    def __init__(self, *args: Any, approvers: Sequence[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.people = {str(one.pk): one for one in approvers}
        for name in ("approver_1", "approver_2"):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = _choose((key, str(one)) for key, one in self.people.items())

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        for number in ("1", "2"):
            if not values.get(f"approver_{number}"):
                self.add_error(f"approver_{number}", "Choose who signs.")
            if not values.get(f"secret_{number}"):
                self.add_error(f"secret_{number}", "Type the approval secret.")
        if values.get("approver_1") and values.get("approver_1") == values.get("approver_2"):
            self.add_error("approver_2", "Name two different people.")
        return values

    def signatures(self) -> list[tuple[User, str]]:
        """The two approvers and what they typed."""
        return [
            (self.people[self.cleaned_data[f"approver_{number}"]], self.cleaned_data[f"secret_{number}"])
            for number in ("1", "2")
        ]


class LimitForm(TwoApproversForm):
    """A limit or switch of the gate and its new value."""

    setting = asked(forms.ChoiceField(required=False, label="Limit"))
    value = forms.IntegerField(
        min_value=0, label="New value", widget=forms.NumberInput(attrs={"class": "short", "inputmode": "numeric"})
    )
    field_order = ("setting", "value", "approver_1", "secret_1", "approver_2", "secret_2")

    def __init__(self, *args: Any, settings: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["setting"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = _choose((name, name.replace("_", " ")) for name in settings)
        field.required = True
