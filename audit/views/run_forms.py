"""The form that starts an evaluation. What is right or wrong the service decides."""

from __future__ import annotations

from typing import Any

from django import forms

from audit.fairness.acceptance import FOLDER
from audit.models import BenchmarkSet
from core import state
from core.faces import registry
from core.forms import ServiceForm


class EvaluationForm(ServiceForm):
    """Which face model is measured on which frozen set, and what it must show."""

    benchmark = forms.ModelChoiceField(
        queryset=BenchmarkSet.objects.none(),
        to_field_name="name",
        label="Benchmark set",
        empty_label="Choose",
        help_text="Frozen sets of photos. A custodian adds one with manage.py benchmarks add.",
    )
    model = forms.ChoiceField(label="Face model", choices=[])
    cohorts = forms.CharField(
        required=False,
        max_length=200,
        label="Cohorts",
        help_text="Columns of the set, separated by commas; “sex x region” divides by both. Empty: everybody together.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    acceptance_policy = forms.ChoiceField(label="Acceptance policy", choices=[], help_text="What must be shown.")
    target_fmr = forms.FloatField(
        initial=0.001,
        label="Wanted false-match rate",
        help_text="Sets the threshold. 0.001 is one false match in 1,000 comparisons of different people.",
    )
    title = forms.CharField(required=False, max_length=200, help_text="Empty: the face model and the set.")
    generated_people = forms.BooleanField(
        required=False, label="The people of this set are generated", help_text="Every figure will say so."
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sets = self.fields["benchmark"]
        assert isinstance(sets, forms.ModelChoiceField)
        sets.queryset = BenchmarkSet.objects.filter(kind=BenchmarkSet.Kind.PHOTOS).order_by("name")
        usable = [one.name for one in registry.available(state.models_dir()) if one.problem is None]
        self._choose("model", usable, registry.DEFAULT)
        self._choose("acceptance_policy", sorted(path.stem for path in FOLDER.glob("*.toml")), "statutory")

    def _choose(self, name: str, values: list[str], initial: str) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices, field.initial = [(one, one) for one in values], initial

    def wanted(self) -> dict[str, Any]:
        """What `evaluations.start` takes."""
        values = dict(self.cleaned_data)
        values["cohorts"] = tuple(part.strip() for part in values["cohorts"].split(",") if part.strip())
        return values
