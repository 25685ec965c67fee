"""Every page of the site that a person can open, and who opens it: what the browser tests walk through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.urls import reverse

from audit.oversight import court_links, entries
from core.models import User
from tests.browser.world import World


@dataclass(frozen=True)
class Visit:
    """A page: `who` opens `path` and sees `heading`. `act` is a button pressed first, where the page is the answer to it."""

    name: str
    who: Callable[[World], User | None]
    path: Callable[[World], str]
    heading: str
    act: str = ""
    status: int = 200


def _address(name: str, key: str = "") -> Callable[[World], str]:
    def find(world: World) -> str:
        return reverse(name, args=[world.searches[key].pk] if key else [])

    return find


def _olivia(world: World) -> User:
    return world.cast.olivia


def _sam(world: World) -> User:
    return world.cast.sam


def _erin(world: World) -> User:
    return world.cast.erin


def _ed(world: World) -> User:
    return world.cast.ed


def _lead(name: str) -> Callable[[World], str]:
    return lambda world: reverse(name, args=[world.lead.pk]) if world.lead else ""


def _reembedding(world: World) -> str:
    return reverse("enrolment", args=[world.reembedding.pk]) if world.reembedding else ""


def _cora(world: World) -> User:
    return world.cast.cora


def _carl(world: World) -> User:
    return world.cast.carl


def _ada(world: World) -> User:
    return world.cast.ada


def _bea(world: World) -> User:
    return world.cast.bea


def _axel(world: World) -> User:
    return world.cast.axel


def _both(world: World) -> str:
    first, second = world.reports
    return f"{reverse('report_compare')}?first={first.pk}&second={second.pk}"


def _nobody(world: World) -> None:
    return None


def _entry(type_: str) -> Callable[[World], str]:
    """The entry of a type of the search that is done."""

    def find(world: World) -> str:
        for entry in entries.life(world.searches["done"].pk):
            if entry.type == type_:
                return reverse("log_entry", args=[entry.id])
        raise AssertionError(type_)

    return find


def _court(world: World) -> str:
    _, secret = court_links.make(by=world.cast.olivia, request=world.searches["done"], recipient="court")
    return reverse("court_receipts", args=[secret])


VISITS = [
    Visit("sign-in", _nobody, _address("account_login"), "Sign in"),
    Visit("home", _olivia, _address("home"), "Welcome"),
    Visit("account", _sam, _address("my_account"), "My account"),
    Visit("password", _olivia, _address("account_change_password"), "Change your password"),
    Visit("second-factors", _olivia, _address("mfa_index"), ""),
    Visit("people", _ada, _address("people"), "People"),
    Visit("person-add", _ada, _address("person_add"), "Add a person"),
    Visit("person", _ada, lambda w: reverse("person", args=[w.cast.olivia.pk]), "Olivia Orr"),
    Visit("cases-officer", _olivia, _address("cases"), "Cases"),
    Visit("cases-supervisor", _sam, _address("cases"), "Cases"),
    Visit("case-open", _sam, _address("case_open"), "Open a case"),
    Visit("case-open-wrong", _sam, _address("case_open"), "Open a case", act="Open case", status=422),
    Visit("case-officer", _olivia, lambda w: reverse("case", args=[w.stage.case.pk]), "Case 2026-00147"),
    Visit("case-supervisor", _sam, lambda w: reverse("case", args=[w.stage.case.pk]), "Case 2026-00147"),
    Visit("case-unconfirmed", _sam, lambda w: reverse("case", args=[w.unconfirmed.pk]), "Case 2026-00163"),
    Visit("case-closed", _sam, lambda w: reverse("case", args=[w.closed.pk]), "Case 2025-01178"),
    Visit("searches", _olivia, _address("searches"), "Searches"),
    Visit("search-new", _olivia, _address("search_new"), "Request a search"),
    Visit("search-draft", _olivia, _address("search_edit", "several"), "Request a search"),
    Visit("search-checking", _olivia, _address("search_edit", "checking"), "Request a search"),
    Visit(
        "search-refused-form", _olivia, _address("search_edit", "empty"), "Request a search",
        act="Request this search", status=422,
    ),
    Visit("status-waiting", _olivia, _address("search", "waiting"), "Search"),
    Visit("status-done", _olivia, _address("search", "done"), "Search"),
    Visit("status-refused", _olivia, _address("search", "upheld"), "Search"),
    Visit("status-emergency", _olivia, _address("search", "emergency"), "Search"),
    Visit("status-withdrawn", _olivia, _address("search", "withdrawn"), "Search"),
    Visit("status-board", _bea, _address("search", "done"), "Search"),
    Visit("approvals", _sam, _address("approvals"), "Approvals"),
    Visit("approval", _sam, _address("approval", "waiting"), "Approve search"),
    Visit(
        "approval-wrong", _sam, _address("approval", "waiting"), "Approve search", act="Approve this search", status=422
    ),
    Visit("holds", _cora, _address("holds"), "Held searches"),
    Visit("hold", _cora, _address("hold", "held"), "Held search"),
    Visit("readings", _erin, _address("readings"), "Candidates to compare"),
    Visit("candidates-closed", _erin, _address("candidates", "done"), "Candidates of search"),
    Visit("candidates", _erin, _address("candidates", "done"), "candidate", act="Open the candidates"),
    Visit("candidates-blind", _ed, _address("candidates", "done"), "candidate", act="Open the candidates"),
    Visit("releases", _sam, _address("releases"), "Leads to release"),
    Visit("release-closed", _sam, _address("release", "agreed"), "Lead of search"),
    Visit("release", _sam, _address("release", "agreed"), "Lead of search", act="Open what they agree on"),
    Visit("leads", _olivia, _address("leads"), "Leads"),
    Visit("lead-closed", _olivia, _lead("lead"), "Lead"),
    Visit("lead", _olivia, _lead("lead"), "Lead", act="Open the lead"),
    Visit("outcome", _olivia, _lead("outcome"), "Outcome of lead"),
    Visit("outcome-wrong", _olivia, _lead("outcome"), "Outcome of lead", act="Record this outcome", status=422),
    Visit("status-released", _sam, _address("search", "released"), "Search"),
    Visit("disclose", _sam, _address("disclose", "released"), "Disclose search"),
    Visit("disclose-wrong", _sam, _address("disclose", "released"), "Disclose search", act="Make the file", status=422),
    Visit("lead-rates", _bea, _address("lead_rates"), "How often leads were wrong"),
    Visit("no-candidate", _erin, _address("candidates", "nobody"), "No candidate", act="Open the candidates"),
    Visit("galleries", _carl, _address("galleries"), "Galleries"),
    Visit("gallery-create", _carl, _address("gallery_create"), "Create a gallery"),
    Visit("gallery", _carl, lambda w: reverse("gallery", args=[w.stage.gallery.pk]), "bookings"),
    Visit("reembedding", _carl, _reembedding, "Enrolment of"),
    Visit("benchmark-sets", _carl, _address("benchmark_sets"), "Benchmark sets"),
    Visit("benchmark-set", _carl, lambda w: reverse("benchmark_set", args=[w.benchmark.pk]), "Benchmark set drawn"),
    Visit("evaluations", _carl, _address("evaluation_runs"), "Evaluations"),
    Visit("evaluations-auditor", _axel, _address("evaluation_runs"), "Evaluations"),
    Visit("evaluation-start", _carl, _address("evaluation_start"), "Start an evaluation"),
    Visit(
        "evaluation-start-wrong", _carl, _address("evaluation_start"), "Start an evaluation",
        act="Start evaluation", status=422,
    ),
    Visit("evaluation-running", _carl, lambda w: reverse("evaluation_run", args=[w.runs["running"].pk]), "Running"),
    Visit("evaluation-paused", _carl, lambda w: reverse("evaluation_run", args=[w.runs["paused"].pk]), "Paused"),
    Visit("evaluation-failed", _axel, lambda w: reverse("evaluation_run", args=[w.runs["failed"].pk]), "Failed"),
    Visit("limits", _ada, _address("limits"), "Thresholds and limits"),
    Visit("law-packs", _olivia, _address("law_packs"), "Which rules hold"),
    Visit("law-pack", _olivia, lambda w: reverse("law_pack", args=["utah"]), "Utah"),
    Visit("limitations", _olivia, _address("limitations"), "Limitations"),
    Visit("reports", _axel, _address("reports"), "Error rates of face models"),
    Visit("report", _axel, lambda w: reverse("report", args=[w.reports[0].pk]), "dlib"),
    Visit("report-board", _bea, lambda w: reverse("report", args=[w.reports[0].pk]), "dlib"),
    Visit("report-labels", _carl, lambda w: reverse("report_labels", args=[w.reports[0].pk]), "Are these labels right?"),
    Visit("report-compare", _axel, _both, "Two reports beside each other"),
    Visit("findings", _bea, _address("findings"), "Findings"),
    Visit("log", _bea, _address("log_entries"), "The log"),
    Visit("log-search", _bea, lambda w: f"{reverse('log_entries')}?search={w.searches['done'].pk}", "The log"),
    Visit("log-entry", _bea, _entry("search:result:stored"), "Entry"),
    Visit("log-entry-opened", _bea, _entry("search:intent:filed"), "Entry", act="Open the sealed values"),
    Visit("court-links", _olivia, _address("court_links", "done"), "Links for courts"),
    Visit("court-receipts", _nobody, _court, "Receipts of one search"),
    Visit("court-ended", _nobody, lambda w: reverse("court_receipts", args=["A" * 43]), "Not found", status=404),
    Visit("log-health", _olivia, _address("log_health"), "State of the log"),
    Visit("log-absence", _bea, _address("log_absence"), "A case without a search"),
    Visit("log-check", _olivia, _address("log_check"), "Checking the log"),
    Visit("not-allowed", _olivia, _address("approvals"), "Not allowed", status=403),
    Visit("not-found", _olivia, lambda w: "/nothing/here/", "Not found", status=404),
]  # fmt: skip
