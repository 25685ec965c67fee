"""report.pdf: the printed copy of a report on A4: one page in plain words, then figures and tables.

The page report.html is the original and the accessible one; this is for paper. The same input gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from audit.fairness.narrative import (
    ACCURACY_HEADER,
    ACCURACY_WORDS,
    accuracy_rows,
    finding,
    labels_rows,
    labels_words,
    not_shown,
    threshold_words,
)
from audit.fairness.wording import counted, one_in

if TYPE_CHECKING:
    from audit.fairness.figures import Drawing

_FONT: Final = "DejaVu Sans"
_MARGIN: Final = 54  # points
_COLUMNS: Final = (150, 92, 92, 92, 52)
_MOST_ROWS: Final = 60
_MOST_REASONS: Final = 8
_LONGEST: Final = 600  # letters under a figure
_RATES: Final = (
    ("fmr", "Different people taken for the same (FMR)"),
    ("fnmr", "Same person not recognised (FNMR)"),
    ("fte", "Photo without an embedding (FTE)"),
)


def printed(content: Mapping[str, Any], drawings: Mapping[str, Drawing], digest: str) -> bytes:
    """The PDF of a report's content. `digest` is the SHA-256 of report.json and stands at the foot of every page."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate

    _fonts()
    out = io.BytesIO()
    title = f"How often {content['face_model']['name']} mistakes one person for another, by cohort"
    document = BaseDocTemplate(out, pagesize=A4, invariant=1, title=title, author="Glasscase", lang="en")
    width, height = A4
    frame = Frame(_MARGIN, _MARGIN, width - 2 * _MARGIN, height - 2 * _MARGIN, 0, 0, 0, 0)
    watermark = content["benchmark"]["watermark"] or ""

    def around(canvas: Any, page: Any) -> None:
        canvas.saveState()
        canvas.setFont(_FONT, 6.5)
        canvas.drawString(_MARGIN, 30, f"report.json SHA-256 {digest}")
        canvas.drawRightString(width - _MARGIN, 30, f"Page {page.page}")
        if watermark:
            canvas.setFont(_FONT, 8)
            canvas.drawString(_MARGIN, height - 34, watermark[0].upper() + watermark[1:] + ".")
        canvas.restoreState()

    document.addPageTemplates([PageTemplate(frames=[frame], onPage=around)])
    document.build(list(_story(content, drawings, title, width - 2 * _MARGIN)))
    return out.getvalue()


def _fonts() -> None:
    """DejaVu comes with matplotlib and has the letters that PDF's own fonts lack."""
    from matplotlib import get_data_path
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    folder = f"{get_data_path()}/fonts/ttf"
    for name, file in ((_FONT, "DejaVuSans"), (f"{_FONT} Bold", "DejaVuSans-Bold")):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, f"{folder}/{file}.ttf"))


def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle

    text = ParagraphStyle("text", fontName=_FONT, fontSize=9, leading=13, spaceAfter=6)
    bold = f"{_FONT} Bold"
    return {
        "text": text,
        "title": ParagraphStyle("title", parent=text, fontName=bold, fontSize=15, leading=19, spaceAfter=10),
        "heading": ParagraphStyle("heading", parent=text, fontName=bold, fontSize=11, leading=15, spaceBefore=10),
        "finding": ParagraphStyle("finding", parent=text, fontSize=11, leading=16, leftIndent=10, spaceAfter=8),
        "item": ParagraphStyle("item", parent=text, leftIndent=12, bulletIndent=2, spaceAfter=3),
        "cell": ParagraphStyle("cell", parent=text, fontSize=7.5, leading=9.5, spaceAfter=0, splitLongWords=1),
        "head": ParagraphStyle("head", parent=text, fontName=bold, fontSize=7.5, leading=9.5, spaceAfter=0),
    }


def _story(content: Mapping[str, Any], drawings: Mapping[str, Drawing], title: str, width: float) -> Iterator[Any]:
    from reportlab.platypus import Image, KeepTogether, PageBreak, Paragraph

    styles = _styles()

    def words(text: str, style: str = "text", **more: Any) -> Any:
        return Paragraph(escape(text), styles[style], **more)

    first, *rest = finding(content)
    benchmark, verdict = content["benchmark"], content["verdict"]
    yield words(title, "title")
    yield words(first, "finding")
    for sentence in rest:
        yield words(sentence)
    yield words(threshold_words(content))
    people, photos = counted(benchmark["people"], "person", "people"), counted(benchmark["images"], "photo")
    yield words(f"Measured on {people} and {photos}; cohort labels: {benchmark['label_source']}.")
    if verdict:
        policy = content["parameters"]["policy"]["code"]
        yield words(f"Acceptance policy “{policy}”: {verdict['outcome']}", "heading")
        for reason in verdict["reasons"][:_MOST_REASONS]:
            yield words(reason, "item", bulletText="–")
        if (more := len(verdict["reasons"]) - _MOST_REASONS) > 0:
            yield words(f"And {counted(more, 'more reason')}, all in report.html.", "item", bulletText="–")
    yield words("What this does not show", "heading")
    for point in not_shown(content):
        yield words(point, "item", bulletText="–")
    yield PageBreak()
    for drawing in drawings.values():
        image = Image(io.BytesIO(drawing.png))
        image.drawWidth, image.drawHeight = width, width * image.imageHeight / image.imageWidth
        yield KeepTogether([image, words(_shortened(drawing.alternative))])
    yield words("Everybody together", "heading")
    yield _rates(styles, [(name, content["overall"][key]) for key, name in _RATES])
    if content["pair_accuracy"]:
        yield words("Accuracy on the pairs of the protocol", "heading")
        yield words(ACCURACY_WORDS)
        yield _table(styles, ACCURACY_HEADER, accuracy_rows(content))
    if labels := labels_words(content):
        yield words("Pairs whose labels are wrong", "heading")
        yield words(labels)
        yield _rates(styles, [(f"{who}: {how[0].lower()}{how[1:]}", rate) for who, how, rate in labels_rows(content)])
    for division in content["divisions"]:
        for key, name in _RATES:
            yield words(f"By {division['columns']}: {name}", "heading")
            yield _rates(styles, [(one["name"], one[key]) for one in division["cohorts"][:_MOST_ROWS]])
    searched = [one for one in content["identification"] if not one["division"] and one["fpir"]]
    if searched:
        yield words("Searches of people who are not enrolled (FPIR, measured)", "heading")
        yield _rates(styles, [(f"{one['templates']:,} templates", one["fpir"][0]) for one in searched])
    yield words("Provenance", "heading")
    model = content["face_model"]
    for line in (
        f"Face model: {model['name']} ({model['hash']})",
        *(f"{name}: {model[key]}" for name, key in _MODEL if model.get(key)),
        f"Benchmark set: {benchmark['name']} ({benchmark['set_sha256']})",
        f"Seed: {content['parameters']['seed']}. Code: {content['code_sha256']}.",
        "All tables, with numerators and denominators, are in the CSV files beside this one; rerun.zip, where there is one, gives every number again.",
    ):
        yield words(line)


def _shortened(text: str) -> str:
    """What a figure shows, cut after a whole statement where it is long."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST].rpartition(';')[0] or text[:_LONGEST]}; and so on: the rest is in the tables."


_MODEL: Final = (("Detector", "detector"), ("Alignment", "alignment"), ("Score", "score_rule"), ("Licence", "licence"))


def _rates(styles: Mapping[str, Any], rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Any:
    body = []
    for name, rate in rows:
        interval = rate["interval"]
        span = "none" if interval is None else f"{one_in(interval['low'])} to {one_in(interval['high'])}"
        counts = f"{rate['errors']:,} of {rate['trials']:,}"
        body.append([name, one_in(rate["rate"]), span, counts, f"{rate['people']:,}"])
    return _table(styles, ("", "Rate", "95 % interval", "Errors of trials", "People"), body)


def _table(styles: Mapping[str, Any], header: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    from reportlab.lib.colors import HexColor
    from reportlab.platypus import Paragraph, Table

    head = [Paragraph(escape(text), styles["head"]) for text in header]
    body = [[Paragraph(escape(cell), styles["cell"]) for cell in row] for row in rows]
    line = ("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor("#d9d5cc"))
    return Table(
        [head, *body],
        colWidths=_COLUMNS,
        repeatRows=1,
        hAlign="LEFT",
        style=[line, ("VALIGN", (0, 0), (-1, -1), "TOP")],
    )
