"""The story that `make demo` tells: enrol, measure, refuse, justify, approve, search, log, review, prove, tamper."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from tqdm import tqdm

from core import state
from core.demo.people import Cast, assemble
from core.demo.processes import StepFailed, manage, running, verify

ENROLLED: Final = 120
MEASURED: Final = 70
PHOTOS_MEASURED: Final = 3
GALLERY: Final = "Demonstration gallery"
CASE: Final = "DM-2026-0001"
# Which of the enrolled people the officer is looking for; another photo of the same person is the probe.
SOUGHT: Final = 4
JUSTIFICATION: Final = (
    "On 14 November at 02:10 a man entered the pharmacy on Mill Street with a knife and took the night's takings. "
    "The camera above the counter shows his face from the front. The clerk and a customer describe the same man, who is "
    "not known to the patrol of the quarter; no other trace has led to a name so far."
)
_STEPS: Final = 11

Say = Callable[[str], None]


@dataclass
class Story:
    """One telling. `say` prints a line; `folder` is where everything that a reader may look at is left."""

    say: Say
    folder: Path = field(default_factory=lambda: state.directory("demo"))
    number: int = 0
    started: float = field(default_factory=time.monotonic)

    def step(self, what: str) -> None:
        self.number += 1
        self.say(f"[{self.number:2d}/{_STEPS}] {time.monotonic() - self.started:5.0f} s  {what}")

    def tell(self) -> dict[str, Any]:
        """Tells the whole story; returns the summary that is printed last. Raises StepFailed when it does not come true."""
        self.step("Setting up the database: roles, schemas, the gate")
        manage("init_database")
        manage("migrate", "--verbosity", "0")
        self.step("Adding an agency and ten people; enrolling approval secrets")
        cast = assemble(self.folder)
        self.say("           sequencer and signer of the log are running from here on")
        with running("sequencer", "signer"):
            return self._with_the_log(cast)

    def _with_the_log(self, cast: Cast) -> dict[str, Any]:
        self.step(f"Drawing {ENROLLED + MEASURED} people who do not exist")
        gallery_manifest, measured_manifest, probe, sought = self._draw()
        self.step(f"Enrolling {ENROLLED} of them: each photo sealed, each batch signed for")
        templates = self._enrol(cast, gallery_manifest)
        self.say(f"           {templates} templates; the application cannot read one of them back")
        self.step(f"Measuring the face model on the other {MEASURED}; two people adopt the threshold")
        evaluation = self._measure(cast, measured_manifest)
        self.step("A search without a case number")
        refused = self._refused(probe)
        self.step("The same search with a case, a purpose, an offence and a reason")
        request = self._justified(cast, probe)
        self.step(
            "Sam approves; the intent is signed, the face is bound, the gallery is searched, the result is signed"
        )
        receipt = self._approved(cast, request)
        self.step("Erin, an examiner, reads the candidates: that is an entry too")
        correct = self._read(request, sought)
        self.step("Erin and Ed decide, neither knowing what the other concludes; Sam releases what both support")
        lead = self._review(cast, request, sought)
        self.step("Checking the exported log without the database; then with one byte changed")
        proof = self._prove(receipt)
        return {
            "refused": refused,
            "search_id": request,
            "rank1_correct": correct,
            "lead": lead,
            "entries": proof["entries"],
            "verify": proof["verify"],
            "tampered": proof["tampered"],
            "receipt": receipt["receipt"],
            "report": evaluation["report"],
        }

    def _draw(self) -> tuple[Path, Path, Path, str]:
        from core.portraits.sets import SEEDS, Progress, person_id, render_set

        place = state.directory("portraits")
        # The longest wait of the first run. A bar on a terminal, nothing in a file.
        with tqdm(total=ENROLLED + MEASURED * PHOTOS_MEASURED, desc="drawing", unit="portrait", disable=None) as bar:

            def drawn(before: int) -> Progress:
                return lambda done, total: bar.update(before + done - bar.n)

            gallery = render_set(place, ENROLLED, 1, manifest="gallery.csv", progress=drawn(0))
            measured = render_set(
                place,
                MEASURED,
                PHOTOS_MEASURED,
                first=ENROLLED,
                manifest="measured.csv",
                progress=drawn(ENROLLED),
            )
        probes = render_set(place, 1, 1, first=SOUGHT, first_photo=1, manifest="probe.csv")
        with probes.open(encoding="utf-8", newline="") as file:
            probe = place / next(csv.DictReader(file))["file"]
        return gallery, measured, probe, person_id(SEEDS[SOUGHT])

    def _enrol(self, cast: Cast, manifest: Path) -> int:
        from search import galleries
        from search.models import Gallery

        gallery = Gallery.objects.filter(name=GALLERY).first()
        if gallery is None:
            gallery = galleries.create(
                by=cast.users["carl"],
                agency=cast.agency,
                name=GALLERY,
                legal_basis="generated",
                retention_days=30,
                description="Portraits of nobody, drawn by a program.",
            )
        edition = galleries.current_edition(gallery)
        if edition is None:
            sam = cast.secret_file("sam")
            manage(
                "register_edition",
                GALLERY,
                "--model",
                "dlib",
                "--as",
                "carl",
                "--approver",
                "sam",
                "--secret-file",
                sam,
            )
            edition = galleries.current_edition(gallery)
        if edition is None or edition.templates < ENROLLED - 5:
            manage("enroll", GALLERY, "--manifest", manifest, "--as", "carl")
            edition = galleries.current_edition(gallery)
        if edition is None or edition.templates < 100:
            raise StepFailed("Fewer than 100 people could be enrolled.")
        return edition.templates

    def _measure(self, cast: Cast, manifest: Path) -> dict[str, Any]:
        out = self.folder / "evaluation"
        shutil.rmtree(out, ignore_errors=True)
        found = manage(
            "evaluate",
            *("--manifest", manifest, "--cohorts", "cohort", "--out", out, "--as", "carl"),
            *("--acceptance-policy", "demo", "--label-source", "assigned", "--generated-people"),
            *("--title", "Generated people (says nothing about real ones)"),
        ).said
        self.say(f"           verdict: {found['verdict'].replace('_', ' ')}; threshold {found['threshold'] / 1e6:.3f}")
        manage(
            "adopt_evaluation",
            found["evaluation"],
            *("--as", "ada", "--approver", "sam", "--secret-file", cast.secret_file("sam")),
            *("--approver", "sue", "--secret-file", cast.secret_file("sue")),
        )
        return found

    def _search(self, probe: Path, case: str, expect: int) -> dict[str, Any]:
        return manage(
            "search",
            *("--case", case, "--purpose", "identify_suspect", "--offence", "robbery"),
            *("--legal-basis", "fair_probability", "--justification", JUSTIFICATION),
            *("--gallery", GALLERY, "--probe", probe, "--as", "olivia"),
            expect=(expect,),
        ).said

    def _refused(self, probe: Path) -> list[str]:
        sentences = [reason["sentence"] for reason in self._search(probe, "", 3)["refused"]]
        for sentence in sentences:
            self.say(f"           refused: {sentence}")
        return sentences

    def _justified(self, cast: Cast, probe: Path) -> str:
        from search import cases
        from search.models import Case

        if not Case.objects.filter(agency=cast.agency, number=CASE).exists():
            sam, olivia = cast.users["sam"], cast.users["olivia"]
            cases.open_case(by=sam, agency=cast.agency, number=CASE, offence="robbery", officers=[olivia])
        request = str(self._search(probe, CASE, 4)["request"])
        self.say("           every rule holds; it waits for the approval of another person")
        return request

    def _approved(self, cast: Cast, request: str) -> dict[str, Any]:
        manage("approve", request, "--as", "sam", "--secret-file", cast.secret_file("sam"))
        out = self.folder / "receipts" / request
        return manage("search", "--resume", request, "--as", "olivia", "--out", out).said

    def _read(self, request: str, sought: str) -> bool:
        found = manage("search", "--resume", request, "--as", "erin").said["candidates"]
        for row in found[:3]:
            self.say(f"           candidate {row['rank']}: {row['person_ref']}, score {row['score']:.3f}")
        correct = bool(found) and found[0]["person_ref"] == sought
        self.say(f"           the enrolled person {sought} is {'at rank 1' if correct else 'NOT at rank 1'}")
        return correct

    def _review(self, cast: Cast, request: str, sought: str) -> str | None:
        """Two examiners who know the answer, because the people are generated. The id of the lead, if there is one."""
        from search import leads, readings, reviews
        from search.comparison import Finding
        from search.models import SearchRequest

        found = SearchRequest.objects.select_related("requester").get(pk=request)
        for name in ("erin", "ed"):
            reading = readings.open_candidates(by=cast.users[name], request=found)
            findings = [
                Finding(template=str(row.template), conclusion="support_same", alike=("nose", "ears", "eyebrows"))
                if row.photo is not None and row.photo.person_ref == sought
                else Finding(template=str(row.template), conclusion="support_different", different=("face_outline",))
                for row in reading.candidates
            ]
            reviews.decide(by=cast.users[name], request=found, view=reading.view, findings=findings)
        agreed = reviews.agreed(found)
        if not agreed:
            self.say("           no candidate is supported by both: there is no lead")
            return None
        [lead] = leads.release(by=cast.users["sam"], request=found, templates=agreed)
        self.say("           Olivia can read the lead; nobody but the examiners and Sam has seen the list")
        return str(lead.id)

    def _prove(self, receipt: dict[str, Any]) -> dict[str, Any]:
        log, copy = self.folder / "log", self.folder / "log-with-one-byte-changed"
        for place in (log, copy):
            shutil.rmtree(place, ignore_errors=True)
        manage("export_log", log)
        key = manage("log_key").last
        (self.folder / "log.vkey").write_text(key + "\n", encoding="utf-8")
        good = verify(log, "--key", key, "--receipt", receipt["receipt"], "--entry", receipt["entry"]).last
        shutil.copytree(log, copy)
        bundle = sorted((copy / "tile" / "entries").rglob("0*"))[0]
        bundle = bundle if bundle.is_file() else next(path for path in sorted(bundle.rglob("*")) if path.is_file())
        data = bytearray(bundle.read_bytes())
        data[len(data) // 2] ^= 1
        bundle.write_bytes(data)
        bad = verify(copy, "--key", key, expect=(1,)).last
        self.say(f"           {good}")
        self.say(f"           {bad}")
        entries = int(good.split("size=")[1].split()[0])
        return {"entries": entries, "verify": good, "tampered": bad}


def summary_line(summary: dict[str, Any]) -> str:
    """The last line: one JSON object; paths relative to the working copy where they lie below it."""
    short = {
        name: str(Path(value).relative_to(settings.BASE_DIR))
        if name in ("receipt", "report") and Path(value).is_relative_to(settings.BASE_DIR)
        else value
        for name, value in summary.items()
    }
    return json.dumps(short, ensure_ascii=False)
