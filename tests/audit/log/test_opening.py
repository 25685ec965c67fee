"""Disclosed values: what the application writes, the verifier opens with Python alone; nothing else fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.log.check import Refused, check_opening
from audit.log.commitments import Opening
from audit.log.verify import main
from tests.audit.log.logs import Log, entries, entry

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-(2.0**53), 2.0**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=6,
)


def committed(*openings: Opening) -> bytes:
    """An entry that commits to these, in its form or not: `check_opening` is given checked entries only."""
    return entry(3, c={one.field: one.commitment for one in openings})


@given(value=VALUES)
def test_every_value_that_can_be_sealed_opens(value: Any) -> None:
    opening = Opening.of("note", value)
    name, shown = check_opening(opening.encode(), committed(opening))
    assert name == "note"
    assert json.loads(shown) == value
    assert shown.isascii()


def test_another_value_salt_or_field_does_not_fit() -> None:
    opening, other = Opening.of("note", "a limp"), Opening.of("photo", "ab")
    body = committed(opening, other)
    for wrong in (
        Opening("note", opening.salt, "a limb"),
        Opening("note", other.salt, "a limp"),
        Opening("photo", opening.salt, "a limp"),
        Opening("original", opening.salt, "a limp"),
    ):
        with pytest.raises(Refused) as refused:
            check_opening(wrong.encode(), body)
        assert refused.value.category == "opening"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: b"[]",
        lambda data: data[:-1],
        lambda data: b" " + data,
        lambda data: data + b"\n\n",
        lambda data: data.replace(b'"value":', b'"value": '),
        lambda data: data.replace(b'"note"', b'"NOTE"'),
        lambda data: data.replace(b"}", b',"more":1}'),
        lambda data: b'{"field":"note","salt":"' + b"0" * 64 + b'","value":' + b"[" * 100_000 + b"}",
    ],
)
def test_an_opening_in_another_form_is_refused(change: Any) -> None:
    opening = Opening.of("note", "a limp")
    with pytest.raises(Refused) as refused:
        check_opening(change(opening.encode()), committed(opening))
    assert refused.value.category == "opening"


def test_the_command_opens_a_value_of_a_proven_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opening = Opening.of("note", "a limp – left")
    body = json.loads(entries(5)[2]) | {
        "type": "search:request:rejected",
        "request": "0" * 8 + "-0000-0000-0000-" + "0" * 12,
    }
    for name in ("first", "last"):
        del body[name]
    sealed = json.dumps(body | {"c": {"note": opening.commitment}}, sort_keys=True, separators=(",", ":")).encode()
    log = Log([*entries(2), sealed, *entries(5)[3:]])
    (tmp_path / "receipt").write_bytes(log.receipt(2).encode())
    (tmp_path / "entry").write_bytes(sealed)
    (tmp_path / "opening").write_bytes(opening.encode() + b"\n")
    (tmp_path / "other").write_bytes(Opening.of("note", "a limp – left").encode())
    receipt = ["--key", str(log.key.public), "--receipt", str(tmp_path / "receipt"), "--entry", str(tmp_path / "entry")]
    assert main([*receipt, "--opening", str(tmp_path / "opening")]) == 0
    assert 'the entry commits to note: "a limp \\u2013 left"' in capsys.readouterr().out
    assert main([*receipt, "--opening", str(tmp_path / "other")]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAIL: opening: ")
    with pytest.raises(SystemExit):
        main(["--key", str(log.key.public), "--opening", str(tmp_path / "opening")])


def test_several_values_of_one_entry_are_opened_together_and_each_has_to_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number, reason = Opening.of("case_number", "RV-2026-0042"), Opening.of("justification", "a robbery")
    refused = {"type": "search:request:refused", "reasons": ["case:closed"], "law_pack": "utah"}
    body = json.loads(entries(5)[2]) | refused | {"c": {one.field: one.commitment for one in (number, reason)}}
    for name in ("first", "last"):
        del body[name]
    sealed = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    log = Log([*entries(2), sealed])
    (tmp_path / "receipt").write_bytes(log.receipt(2).encode())
    (tmp_path / "entry").write_bytes(sealed)
    command = ["--key", str(log.key.public), "--receipt", str(tmp_path / "receipt"), "--entry", str(tmp_path / "entry")]
    for opening in (number, reason, Opening.of("justification", "a robbery")):
        place = tmp_path / f"{len(command)}"
        place.write_bytes(opening.encode())
        command += ["--opening", str(place)]
    assert main(command[:-2]) == 0
    said = capsys.readouterr().out
    assert 'the entry commits to case_number: "RV-2026-0042"' in said
    assert 'the entry commits to justification: "a robbery"' in said
    assert main(command) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith("FAIL: opening: ")
