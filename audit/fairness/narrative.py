"""What a report says in plain words: the sentences and rows that the page, the printed copy and the site have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audit.fairness.cohorts import UNKNOWN
from audit.fairness.wording import counted, one_in


def finding(content: Mapping[str, Any]) -> list[str]:
    """The result in a few plain sentences, from the content of report.json."""
    sentences = []
    for division in content["divisions"]:
        name, needed = division["columns"], content["parameters"]["minimum_people"]
        measured = [
            item
            for item in division["cohorts"]
            if item["fmr"]["trials"] and item["fmr"]["people"] >= needed and item["name"] != UNKNOWN
        ]
        if len(measured) < 2:
            sentences.append(f"By {name}: fewer than two cohorts have the {needed} people that a comparison needs.")
            continue
        worst = max(measured, key=lambda item: (item["fmr"]["rate"], item["name"]))
        sentences.append(
            f"By {name}, different people were taken for the same person most often among {worst['name']}: "
            f"{_rate_words(worst['fmr'])}."
        )
        for item in division["fmr_differences"]:
            factor = "" if item["ratio"] is None else f" ({item['ratio']:.1f} times, at least {item['at_least']:.1f})"
            sentences.append(f"The rate among {item['high']} is higher than among {item['low']}{factor}.")
        if not division["fmr_differences"]:
            sentences.append(
                "No difference between cohorts could be shown. That is not the same as showing that there is none."
            )
    overall = content["overall"]
    sentences.append(f"Over all pairs, different people were taken for the same person: {_rate_words(overall['fmr'])}.")
    sentences.append(f"Two photos of one person that were not recognised as such: {_rate_words(overall['fnmr'])}.")
    if overall["fte"]["errors"]:
        lost = counted(overall["fte"]["errors"], "photo")
        sentences.append(f"{lost} of {overall['fte']['trials']:,} gave no embedding and count as not recognised.")
    return sentences


def _rate_words(rate: Mapping[str, Any]) -> str:
    if rate["rate"] is None:
        return "not measurable (nothing to compare)"
    seen = f"{rate['errors']:,} of {rate['trials']:,}"
    interval = rate["interval"]
    if interval is None:
        return f"{one_in(rate['rate'])} ({seen}; too few people for an interval)"
    if rate["errors"] == 0:
        return f"{seen}, so at most {one_in(interval['high'])}"
    return f"{one_in(rate['rate'])} ({seen}; 95 % interval {one_in(interval['low'])} to {one_in(interval['high'])})"


def threshold_words(content: Mapping[str, Any]) -> str:
    """Where the threshold comes from."""
    threshold = content["threshold"]
    if threshold["rule"] == "fixed":
        how = f"The threshold {threshold['value'] / 1e6:.6f} was given; all people were measured."
    else:
        which = {
            "all": "all pairs of different people",
            "within": "pairs of different people of the same cohort",
            "worst": "pairs of different people of the cohort with the highest rate",
        }[threshold["rule"]]
        how = (
            f"The threshold {threshold['value'] / 1e6:.6f} was chosen on "
            f"{counted(threshold['people_chosen_on'], 'person', 'people')} so that at most "
            f"{one_in(content['parameters']['target_fmr'])} {which} reach it; everything on this page was measured "
            f"on {counted(threshold['people_reported_on'], 'other person', 'other people')}."
        )
        if not threshold["target_shown"]:
            how += f" Their {threshold['pairs']:,} pairs are too few to show a rate that low."
    return how


ACCURACY_WORDS = (
    "The share of right decisions that papers on this set publish: in each fold at the threshold that is best on the other "
    "folds, over all pairs and within each cohort. It uses everybody, and a threshold that no deployed system has: the error "
    "rates are at one threshold for all."
)


def accuracy_rows(content: Mapping[str, Any]) -> list[list[str]]:
    """Who, accuracy, its standard error over the folds, pairs and folds. Empty but for protocols with folds."""
    return [
        [
            f"{one['cohort']} ({one['division']})" if one["division"] else "Everybody",
            f"{100 * one['accuracy']:.2f} %",
            f"{100 * one['standard_error']:.2f}",
            f"{one['pairs']:,}",
            f"{one['folds']}",
        ]
        for one in content["pair_accuracy"]
    ]


ACCURACY_HEADER = ("Who", "Accuracy", "Standard error", "Pairs", "Folds")


def labels_words(content: Mapping[str, Any]) -> str:
    """What the rates without some pairs are, and that nothing else rests on them. Empty where no pair was left out."""
    pairs = content["overall"].get("excluded_pairs")
    if not pairs:
        return ""
    return (
        f"A review of the photos found that the labels of {counted(pairs, 'pair')} of people are wrong: the two are the same "
        "person. Here are the false-match rates with all labels and without these pairs. The verdict, the threshold and "
        "every other number rest on all labels."
    )


def labels_rows(content: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """(who, with which labels, false-match rate): each rate with all labels, then without the pairs that were left out."""
    if not labels_words(content):
        return
    pairs = counted(content["overall"]["excluded_pairs"], "pair")
    both = [("Everybody", content["overall"]["fmr"], content["overall"]["without_excluded"]["fmr"])]
    for division in content["divisions"]:
        both += [(one["name"], one["fmr"], one["fmr_without_excluded"]) for one in division["cohorts"]]
    for who, all_labels, fewer in both:
        yield who, "With all labels", all_labels
        if fewer is not None:
            yield who, f"Without {pairs} whose labels a review found wrong", fewer


def not_shown(content: Mapping[str, Any]) -> list[str]:
    """What the report does not show, a sentence each."""
    points = [
        "It says nothing about photos of another kind: darker, smaller, older or turned further away.",
        "It measures one face model with one detector and alignment; another file of either is another face model.",
        "It does not say how often a lead of the police is wrong: that depends on how many searched people are enrolled.",
        "It does not measure what examiners make of a list of candidates.",
        "Groups that the set does not label are not seen. “Unknown” is shown, and left out of comparisons.",
        f"Cohorts with fewer than {content['parameters']['minimum_people']} people are shown and not compared.",
        "Rates of searches were measured in small galleries of benchmark people; for the size of a real one there is arithmetic.",
    ]
    if content["benchmark"]["generated_people"]:
        points.insert(0, "The people are generated. No conclusion about real people can be drawn from any number here.")
    return points
