"""Forms for people and accounts. They shape what was typed; what is right or wrong the services decide."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.contrib.auth.validators import ASCIIUsernameValidator

from core import tokens
from core.exceptions import Invalid
from core.models import Agency, User
from core.person_roles import ROLES

ROLE_CHOICES = [(code, role.label) for code, role in ROLES.items()]


class ServiceForm(forms.Form):
    """A form that shows a service's refusal beside the fields it is about."""

    required_css_class: ClassVar[str] = "required"

    def refuse(self, error: Invalid) -> None:
        """Put the sentences of `error` where they belong; those of unknown fields stand above the form."""
        placed = False
        for name, sentences in error.field_errors.items():
            for sentence in sentences:
                self.add_error(name if name in self.fields else None, sentence)
                placed = True
        if not placed:
            self.add_error(None, error.sentence)


class RolesForm(ServiceForm):
    """The roles of a person: one box each."""

    roles = forms.MultipleChoiceField(
        choices=ROLE_CHOICES, required=False, widget=forms.CheckboxSelectMultiple, label="Roles"
    )


class RegistrationForm(ServiceForm):
    """An account that somebody makes alone to read reports on error rates."""

    username = forms.CharField(
        max_length=150,
        validators=[ASCIIUsernameValidator()],
        help_text="Letters, digits and . _ - @ +. Kept in small letters.",
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
    )
    full_name = forms.CharField(
        max_length=200,
        help_text="Your name or your organisation's. It is sealed in the log; the oversight board can open it.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    password = forms.CharField(
        max_length=200,
        strip=False,
        help_text="At least 12 characters.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )


class PersonForm(RolesForm):
    """A new person, as the administrator enters one."""

    username = forms.CharField(
        max_length=150,
        validators=[ASCIIUsernameValidator()],
        help_text="Letters, digits and . _ - @ +. Kept in small letters.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    full_name = forms.CharField(max_length=200, widget=forms.TextInput(attrs={"autocomplete": "off"}))
    agency = forms.ModelChoiceField(queryset=Agency.objects.none(), required=False, empty_label="No agency")
    badge_number = forms.CharField(max_length=50, required=False)
    training_until = forms.DateField(
        required=False,
        label="Training valid until",
        help_text="The last day on which the training is valid.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    field_order = ("username", "full_name", "agency", "badge_number", "roles", "training_until")

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        agencies = Agency.objects.order_by("name")
        field = self.fields["agency"]
        assert isinstance(field, forms.ModelChoiceField)
        if by.agency_id is None:
            field.queryset = agencies
        else:
            field.queryset = agencies.filter(pk=by.agency_id)
            field.required, field.empty_label, field.initial = True, None, by.agency_id


class TrainingForm(ServiceForm):
    """A person's training date."""

    training_until = forms.DateField(
        label="Training valid until",
        help_text="The last day on which the training is valid.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )


class TokenForm(ServiceForm):
    """A new API token."""

    name = forms.CharField(max_length=80, label="What it is for", widget=forms.TextInput(attrs={"autocomplete": "off"}))
    days = forms.IntegerField(
        min_value=1, max_value=tokens.LONGEST_DAYS, initial=tokens.DEFAULT_DAYS, label="Valid for how many days"
    )
