from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from core import state


def mode(place):
    return stat.S_IMODE(place.stat().st_mode)


def test_a_state_directory_admits_its_owner_only(settings, tmp_path):
    settings.GLASSCASE_HOME = tmp_path / "home"
    place = state.directory("keys")
    assert place == tmp_path / "home" / "keys"
    assert mode(place) == mode(place.parent) == 0o700


def test_a_secret_is_made_once_and_readable_by_its_owner_only(tmp_path):
    place = tmp_path / "secrets" / "db_app"
    first = state.kept_secret(place)
    assert len(first) >= 40
    assert state.kept_secret(place) == first
    assert mode(place) == 0o600
    assert mode(place.parent) == 0o700


def test_all_who_ask_at_once_get_the_same_secret_and_no_draft_stays(tmp_path):
    place = tmp_path / "secrets" / "key"
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: state.kept_secret(place), range(64)))
    assert len(found) == 1
    assert [item.name for item in place.parent.iterdir()] == ["key"]


def test_a_durable_write_replaces_a_file_whole_and_leaves_no_draft(tmp_path):
    place = tmp_path / "new" / "state.json"
    state.write_durably(place, b"one")
    state.draft_of(place).write_bytes(b"what a killed process left")
    state.write_durably(place, b"two", mode=0o644)
    assert place.read_bytes() == b"two"
    assert place.stat().st_mode & 0o777 == 0o644
    assert place.parent.stat().st_mode & 0o777 == 0o700
    assert list(place.parent.iterdir()) == [place]


def test_what_is_created_durably_is_never_overwritten(tmp_path):
    place = tmp_path / "a" / "b" / "once"
    state.create_durably(place, b"one")
    with pytest.raises(FileExistsError):
        state.create_durably(place, b"two")
    assert place.read_bytes() == b"one"
    assert place.stat().st_mode & 0o777 == 0o400
