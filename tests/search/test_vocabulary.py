from __future__ import annotations

import pytest

from search import vocabulary
from search.vocabulary import CODE, OffenceClass, Term, choices

LISTS = {
    "purposes": vocabulary.PURPOSES,
    "prohibited purposes": vocabulary.PROHIBITED_PURPOSES,
    "offences": vocabulary.OFFENCES,
    "legal bases": vocabulary.LEGAL_BASES,
    "attachments": vocabulary.ATTACHMENT_KINDS,
    "probe kinds": vocabulary.PROBE_KINDS,
}


@pytest.mark.parametrize("name", LISTS)
def test_every_term_has_a_code_a_label_and_one_sentence(name: str) -> None:
    labels = [term.label for term in LISTS[name].values()]
    assert len(set(labels)) == len(labels)
    for code, term in LISTS[name].items():
        assert code == term.code
        assert CODE.match(code)
        assert term.label[0].isupper()
        assert term.description.endswith(".")
        assert ". " not in term.description


def test_no_prohibited_purpose_can_be_chosen() -> None:
    offered = {code for code, _ in choices(vocabulary.PURPOSES)}
    assert not offered & vocabulary.PROHIBITED_PURPOSES.keys()


def test_every_class_of_offence_is_used() -> None:
    assert {offence.offence_class for offence in vocabulary.OFFENCES.values()} == set(OffenceClass)


def test_a_term_with_a_bad_code_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a code"):
        Term("Bad code", "Bad", "Bad.")
