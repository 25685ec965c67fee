"""report.html: one page that carries everything it needs, without scripts, whose tables say what its figures show."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING, Any

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

_STYLE = """
:root{--paper:#fbfaf7;--card:#fff;--line:#d9d5cc;--ink:#1b1f24;--muted:#565d66;--accent:#1f4e79;--warn:#8a5a00}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--card:#1c2024;--line:#3a4047;--ink:#e9e6df;--muted:#a9adb3;
--accent:#8fbce6;--warn:#e3b35c}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:32px 16px}h1,h2,h3{font-family:ui-serif,Georgia,serif;line-height:1.25}
h1{font-size:1.95rem}h2{margin-top:40px}p,ul{max-width:72ch}a{color:var(--accent)}
.finding{font-size:1.25rem;border-left:4px solid var(--accent);padding-left:16px}
.watermark{border:1px solid var(--warn);color:var(--warn);padding:8px 16px;border-radius:4px;font-weight:600}
.verdict{background:var(--card);border:1px solid var(--line);border-radius:4px;padding:4px 16px}
.scroll{overflow-x:auto}.scroll:focus{outline:3px solid #b35900;outline-offset:2px}
table{border-collapse:collapse;background:var(--card);font-variant-numeric:tabular-nums;margin:16px 0;min-width:60%}
caption{text-align:left;color:var(--muted);padding:4px 0}caption span{display:inline-block;position:sticky;left:0;
max-width:min(72ch,calc(100vw - 34px))}th,td{border:1px solid var(--line);padding:4px 10px}
th{text-align:left}td{text-align:right;white-space:nowrap}td.text{text-align:left;white-space:normal;min-width:16rem}
tbody th{position:sticky;left:0;background:var(--card);max-width:40vw}figure{margin:16px 0}
figure img{max-width:100%;height:auto;background:#fff;border:1px solid var(--line);border-radius:4px}
code{font-family:ui-monospace,monospace;overflow-wrap:anywhere}dt{color:var(--muted)}dd{margin:0 0 8px}
@media print{.scroll{overflow:visible}td{white-space:normal}body{background:#fff;color:#000}main{padding:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}
"""


def render(
    content: Mapping[str, Any],
    left_out: Sequence[Mapping[str, Any]],
    drawings: Mapping[str, Drawing],
    digest: str,
) -> str:
    """The page for a report's content. `digest` is the SHA-256 of report.json, printed so that the page can be tied
    to the record. Every text from outside is escaped."""
    model, benchmark = content["face_model"], content["benchmark"]
    title = f"How often {model['name']} mistakes one person for another, by cohort"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _watermark(benchmark),
        _summary(content),
        _verdict(content),
        _overall(content),
        _accuracies(content),
        _labels(content),
    ]
    for number, division in enumerate(content["divisions"], start=1):
        mine = {name: drawing for name, drawing in drawings.items() if name.endswith(f"_{number}")}
        parts.append(_division(mine, division))
    parts += [
        _scores(content, drawings),
        _searches(content, drawings),
        _predictions(content),
        _not_shown(content),
        _left_out(left_out),
        _provenance(content, digest),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _watermark(benchmark: Mapping[str, Any]) -> str:
    mark = benchmark["watermark"]
    return f'<p class="watermark">{escape(mark[0].upper() + mark[1:])}.</p>' if mark else ""


def _summary(content: Mapping[str, Any]) -> str:
    benchmark = content["benchmark"]
    first, *rest = finding(content)
    more = "".join(f"<p>{escape(sentence)}</p>" for sentence in rest)
    return (
        f'<section><h2>In short</h2><p class="finding">{escape(first)}</p>{more}<p>{escape(threshold_words(content))} '
        f"The set has {counted(benchmark['people'], 'person', 'people')} and {counted(benchmark['images'], 'photo')}; "
        f"cohort labels: {escape(benchmark['label_source'])}.</p></section>"
    )


def _verdict(content: Mapping[str, Any]) -> str:
    verdict, policy = content["verdict"], content["parameters"]["policy"]
    if not verdict:
        return ""
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in verdict["reasons"])
    return (
        f'<section class="verdict"><h2>Acceptance policy “{escape(policy["code"])}”: {escape(verdict["outcome"])}</h2>'
        f"<ul>{reasons}</ul></section>"
    )


def _overall(content: Mapping[str, Any]) -> str:
    overall = content["overall"]
    rows = [
        ("Different people taken for the same (FMR), all pairs", overall["fmr"]),
        ("Same person not recognised (FNMR)", overall["fnmr"]),
        ("Photo without an embedding (FTE)", overall["fte"]),
    ]
    body = [[name, *_rate_cells(rate)] for name, rate in rows]
    near = counted(content["threshold"]["pairs_within_one_millionth"], "pair")
    return (
        "<section><h2>Everybody together</h2>"
        + _table("All people of the reported half", ("", *_RATE_HEADER), body)
        + "<p>“All pairs” also compares people of different cohorts, which are easier to tell apart. The rates within "
        f"cohorts below are the ones to look at. {near} lie within one millionth of the threshold.</p></section>"
    )


def _accuracies(content: Mapping[str, Any]) -> str:
    rows = accuracy_rows(content)
    if not rows:
        return ""
    return (
        f"<section><h2>Accuracy on the pairs of the protocol</h2><p>{escape(ACCURACY_WORDS)}</p>"
        + _table("Right decisions on the given pairs", ACCURACY_HEADER, rows)
        + "</section>"
    )


def _labels(content: Mapping[str, Any]) -> str:
    words = labels_words(content)
    if not words:
        return ""
    rows = [[f"{who}: {how[0].lower()}{how[1:]}", *_rate_cells(rate)] for who, how, rate in labels_rows(content)]
    caption = "Different people taken for the same person (FMR), with and without these pairs"
    return (
        f"<section><h2>Pairs whose labels are wrong</h2><p>{escape(words)}</p>"
        + _table(caption, ("Who", *_RATE_HEADER), rows)
        + "</section>"
    )


_RATE_HEADER = ("Rate", "95 % interval", "Errors", "Of", "People")


def _rate_cells(rate: Mapping[str, Any]) -> list[str]:
    interval = rate["interval"]
    if rate["rate"] is None:
        span = "not measurable"
    elif interval is None:
        span = "too few people"
    else:
        span = f"{one_in(interval['low'])} – {one_in(interval['high'])}"
    return [one_in(rate["rate"]), span, f"{rate['errors']:,}", f"{rate['trials']:,}", f"{rate['people']:,}"]


def _figure(name: str, drawing: Drawing) -> str:
    image = base64.b64encode(drawing.svg).decode()
    return (
        f'<figure><img alt="{escape(drawing.alternative)}" src="data:image/svg+xml;base64,{image}">'
        f"<figcaption>The tables have the same numbers ({escape(name)}.svg, {escape(name)}.png).</figcaption></figure>"
    )


def _division(drawings: Mapping[str, Drawing], division: Mapping[str, Any]) -> str:
    parts = [f"<section><h2>By {escape(division['columns'])}</h2>"]
    parts += [_figure(name, drawing) for name, drawing in drawings.items()]
    for key, caption in (
        ("fmr", "Different people of the same cohort taken for the same person (FMR)"),
        ("fnmr", "Same person not recognised (FNMR), photos without an embedding counted as misses"),
        ("fte", "Photos without an embedding (FTE)"),
    ):
        rows = [[cohort["name"], *_rate_cells(cohort[key])] for cohort in division["cohorts"]]
        parts.append(_table(caption, ("Cohort", *_RATE_HEADER), rows))
    parts.append(_zero_errors(division))
    cohorts = [cohort["name"] for cohort in division["cohorts"]]
    cells = {(cell["probe"], cell["reference"]): cell["fmr"] for cell in division["matrix"]}
    rows = [[a, *(one_in(cells[a, b]["rate"]) for b in cohorts)] for a in cohorts]
    parts.append(_table("FMR between cohorts (the same in both directions)", ("", *cohorts), rows))
    parts.append(_measures(division["measures"]))
    rows = [
        [f"{item['high']} over {item['low']}", *_bootstrapped(item, "{:.3g} times"), item["why"]]
        for item in division["fmr_ratios"]
    ]
    if rows:
        caption = "Ratios of false-match rates, bootstrapped over people, confidence corrected for their number"
        parts.append(_table(caption, ("Cohorts", "Ratio", "Interval", "Why none"), rows))
    rows = [
        [cohort["name"], *_bootstrapped(cohort["fnmr_at_target"], "{:.4f}"), cohort["fnmr_at_target"]["why"]]
        for cohort in division["cohorts"]
        if cohort["fnmr_at_target"]
    ]
    if rows:
        caption = "FNMR of each cohort at the threshold where its own FMR is the target"
        parts.append(_table(caption, ("Cohort", "FNMR", "Interval", "Why none"), rows))
    return "".join(parts) + "</section>"


def _measures(measures: Sequence[Mapping[str, Any]]) -> str:
    """The table of summary measures; one sentence where all are undefined for the same reason."""
    reasons = {item["why"] for item in measures}
    if len(reasons) == 1 and all(item["value"] is None for item in measures):
        names = ", ".join(item["name"] for item in measures)
        return (
            f"<p>Summary measures over the known cohorts are undefined. {escape(reasons.pop())} ({escape(names)}.)</p>"
        )
    rows = [
        [item["name"], "undefined" if item["value"] is None else f"{item['value']:.4g}", item["why"]]
        for item in measures
    ]
    return _table("Summary measures over the known cohorts", ("Measure", "Value", "Why undefined"), rows)


def _bootstrapped(item: Mapping[str, Any], form: str) -> list[str]:
    low, high = ("unbounded" if item[end] is None else form.format(item[end]) for end in ("low", "high"))
    if item["value"] is None:
        return ["undefined", "none"]
    return [form.format(item["value"]), "none" if low == high == "unbounded" else f"{low} – {high}"]


def _zero_errors(division: Mapping[str, Any]) -> str:
    """Both bounds where no error was seen: the optimistic one and the one that is sure to hold."""
    rows = []
    for cohort in division["cohorts"]:
        for key in ("fmr", "fnmr", "fte"):
            interval = cohort[key]["interval"]
            if interval and interval["method"] == "no-errors":
                bounds = [one_in(interval[f"bound_by_{by}"]) for by in ("people", "pairs")]
                rows.append([cohort["name"], key.upper(), *bounds])
    header = ("Cohort", "Rate", "If only pairs without a common person are independent", "If all are independent")
    return _table("Where no error was seen: upper bounds", header, rows) if rows else ""


def _scores(content: Mapping[str, Any], drawings: Mapping[str, Drawing]) -> str:
    """Where scores lie, and how far each cohort's are from everybody's."""
    everybody = content["overall"]["scores"]
    rows = []
    for division in content["divisions"]:
        for cohort in division["cohorts"]:
            for kind, words in (("impostor", "different people"), ("genuine", "same person")):
                mine, all_ = (cohort["scores"] or {}).get(kind), (everybody or {}).get(kind)
                if mine and all_ and mine["mean"] is not None and all_["mean"] is not None:
                    shift = (mine["mean"] - all_["mean"]) / 1e6
                    values = [f"{mine['mean'] / 1e6:.4f}", f"{mine['median'] / 1e6:.4f}", f"{shift:+.4f}"]
                    rows.append([cohort["name"], words, f"{mine['pairs']:,}", *values])
    figure = "".join(_figure(name, drawing) for name, drawing in drawings.items() if name == "score_distributions")
    header = ("Cohort", "Pairs of", "Number", "Mean", "Median", "Shift of the mean from everybody's")
    table = _table("Scores within each cohort", header, rows) if rows else ""
    return f"<section><h2>Where scores lie</h2>{figure}{table}</section>"


def _searches(content: Mapping[str, Any], drawings: Mapping[str, Drawing]) -> str:
    """Rates of searches in evaluation editions: everybody, and each cohort in the largest one."""
    found = [one for one in content["identification"] if one["fpir"]]
    if not found:
        given = not content["overall"]["det"]
        why = (
            "pairs or scores were given, and nobody was searched for"
            if given
            else "the set has too few people to enrol some and search for others"
        )
        return f"<section><h2>Searches of galleries</h2><p>Not measured: {why}.</p></section>"
    largest = max(one["templates"] for one in found)
    shown = [one for one in found if not one["division"] or one["templates"] == largest]
    positive, negative = [], []
    for one in shown:
        who = f"{one['cohort']} ({one['division']})" if one["division"] else one["cohort"]
        size = f"{one['people']:,} people, {one['templates']:,} templates"
        positive.append([who, size, *_rate_cells(one["fpir"][0]), one_in(one["predicted_fpir"])])
        for at in one["at_fpir"]:
            negative += [[who, size, one_in(at["target"]), lists, *_rate_cells(rate)] for lists, rate in _by_list(at)]
    figure = "".join(_figure(name, drawing) for name, drawing in drawings.items() if name == "fpir_by_gallery_size")
    return (
        "<section><h2>Searches of galleries of benchmark people (measured)</h2>"
        "<p>Galleries were made of some of the people; the others, who are not in them, were searched for, and so were "
        "other photos of those who are.</p>"
        + figure
        + _table(
            "FPIR at the operating threshold: searches of people who are not enrolled that return somebody",
            ("Who", "Gallery", *_RATE_HEADER, "Predicted"),
            positive,
        )
        + _table(
            "FNIR: searches of people who are enrolled that do not return them, at the threshold for a target FPIR",
            ("Who", "Gallery", "Target FPIR", "Candidates asked for", *_RATE_HEADER),
            negative,
        )
        + "<p>Every list size and threshold is in fpir.csv, fnir.csv and fnir_at_fpir.csv.</p></section>"
    )


def _by_list(at: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(list sizes, rate): neighbouring sizes whose counts are the same stand together, "5 – 200"."""
    for _, same in groupby(at["fnir"], key=lambda one: (one["errors"], one["trials"])):
        rates = list(same)
        first, last = rates[0]["list_size"], rates[-1]["list_size"]
        yield f"{first}" if first == last else f"{first} – {last}", rates[0]


def _predictions(content: Mapping[str, Any]) -> str:
    rows = [
        [f"{item['gallery']:,}", item["basis"], one_in(item["fmr"]), one_in(item["fpir"])]
        for item in content["fpir_predictions"]
    ]
    return (
        "<section><h2>What this would mean in a gallery (predicted, not measured)</h2>"
        "<p>The chance that a search of somebody who is <em>not</em> enrolled still returns a candidate, if comparisons "
        "were independent: 1 − (1 − FMR)<sup>N</sup>. Real galleries differ; treat it as an order of magnitude.</p>"
        + _table("Predicted FPIR", ("Templates enrolled (N)", "False-match rate of", "FMR", "FPIR"), rows)
        + "</section>"
    )


def _not_shown(content: Mapping[str, Any]) -> str:
    items = "".join(f"<li>{escape(point)}</li>" for point in not_shown(content))
    return f"<section><h2>What this does not show</h2><ul>{items}</ul></section>"


def _left_out(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "<section><h2>Left out</h2><p>Nothing: every row of the set was used.</p></section>"
    shown = [[str(row["what"]), str(row["kind"]), str(row["reason"])] for row in rows[:100]]
    more = "" if len(rows) <= 100 else f"<p>The first 100 of {len(rows):,}; all are in left_out.csv.</p>"
    return (
        "<section><h2>Left out, or without an embedding</h2>"
        + _table("Rows that could not be used as they are", ("What", "Kind", "Why"), shown)
        + more
        + "</section>"
    )


def _provenance(content: Mapping[str, Any], digest: str) -> str:
    model, benchmark = content["face_model"], content["benchmark"]
    items = [
        ("report.json, SHA-256", digest),
        ("Face model", f"{model['name']} ({model['hash']})"),
        *((label, str(model[key])) for label, key in _MODEL_FIELDS if model.get(key)),
        ("Benchmark set, SHA-256", f"{benchmark['name']} ({benchmark['set_sha256']})"),
        ("Seed", str(content["parameters"]["seed"])),
        ("Code, SHA-256", content["code_sha256"]),
        *((f"{name}, SHA-256", value) for name, value in content["tables"].items()),
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd><code>{escape(value)}</code></dd>" for name, value in items)
    notes = "".join(f"<li>{escape(note)}</li>" for note in benchmark["notes"])
    return f"<section><h2>Provenance</h2>{f'<ul>{notes}</ul>' if notes else ''}<dl>{listed}</dl></section>"


_MODEL_FIELDS = (
    ("Detector", "detector"),
    ("Alignment", "alignment"),
    ("Score", "score_rule"),
    ("Licence", "licence"),
)


def _table(caption: str, header: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(first)}</th>'
        + "".join(f"<td{_kind(cell)}>{escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table><caption><span>{escape(caption)}'
        f"</span></caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _kind(cell: str) -> str:
    return ' class="text"' if len(cell) > 30 or cell.endswith(".") else ""
