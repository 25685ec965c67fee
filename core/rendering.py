"""How form fields are drawn: our own templates, found where all others are."""

from __future__ import annotations

from django.forms.renderers import TemplatesSetting


class Renderer(TemplatesSetting):
    """Fields with label, help and errors as templates/forms/field.html has them."""

    field_template_name = "forms/field.html"
