"""Reviews of labels: the pairs of photos that an evaluation scored highest, side by side, for custodians."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit import evaluations, label_reviews
from audit.models import LabelVerdict
from core import access
from core.exceptions import Invalid, NotFound
from core.person_roles import Permission
from core.views.requests import person

_REVIEWERS = access.having(Permission.RUN_EVALUATIONS)


@_REVIEWERS
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def report_labels(request: HttpRequest, evaluation_id: uuid.UUID) -> HttpResponse:
    """A page of pairs with what was said of each; saving goes on to the next page."""
    evaluation, by = evaluations.published(evaluation_id), person(request)
    number = request.GET.get("page", "1")
    page = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 0
    if request.method == "POST":
        try:
            saved = label_reviews.save(by=by, evaluation=evaluation, verdicts_by_images=_answers(request))
        except Invalid as error:
            messages.error(request, error.sentence)
        else:
            messages.success(request, f"{saved} new answer{'' if saved == 1 else 's'} saved.")
            page += int(request.POST.get("next") == "yes")
        return redirect(f"{reverse('report_labels', args=[evaluation.pk])}?page={page}")
    try:
        found = label_reviews.view(by=by, evaluation=evaluation, page=page)
        wrong = label_reviews.wrong(evaluation)
    except NotFound as problem:
        context = {"evaluation": evaluation, "nothing": problem.sentence}
        return render(request, "audit/labels.html", context, status=404)
    context = {
        "evaluation": evaluation,
        "page": found,
        "wrong": wrong,
        "choices": LabelVerdict.choices,
        "changed": sorted(wrong) != sorted(tuple(pair) for pair in evaluation.excluded),
        "previous": found.number - 1,
        "next": found.number + 1 if found.number < found.pages else 0,
    }
    return render(request, "audit/labels.html", context)


@_REVIEWERS
@require_safe
@never_cache
def report_label_photo(request: HttpRequest, evaluation_id: uuid.UUID, ticket: str) -> HttpResponse:
    """One photo of a pair, for whoever has its page open."""
    content = label_reviews.photo(by=person(request), evaluation=evaluations.published(evaluation_id), ticket=ticket)
    response = HttpResponse(content, content_type="image/jpeg")
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


@_REVIEWERS
@require_POST
@never_cache
def report_measure_again(request: HttpRequest, evaluation_id: uuid.UUID) -> HttpResponse:
    """Start the evaluation that also gives the rates without the wrong pairs."""
    evaluation = evaluations.published(evaluation_id)
    started = label_reviews.measure_again(by=person(request), evaluation=evaluation)
    messages.success(request, f"Started: {started.title}. Its report is published beside this one when it is done.")
    return redirect("evaluation_run", run_id=started.pk)


def _answers(request: HttpRequest) -> dict[label_reviews.Images, str]:
    """The answers by pair of images. Raises Invalid for fields that name no pair."""
    found = {}
    for name, value in request.POST.items():
        kind, _, rest = name.partition("-")
        if kind == "pair":
            rows = rest.split("-")
            if len(rows) != 2 or not all(row.isascii() and row.isdigit() and len(row) < 10 for row in rows):
                raise Invalid("These photos are not among the pairs of this evaluation. Load the page again.")
            found[int(rows[0]), int(rows[1])] = str(value)
    return found
