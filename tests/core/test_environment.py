from __future__ import annotations

import pytest

from core import environment
from core.environment import SettingError

NAME = "GLASSCASE_TEST_SETTING"


@pytest.fixture(autouse=True)
def _unset(monkeypatch):
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delenv(f"{NAME}_FILE", raising=False)


def test_a_missing_setting_stops_with_its_name_and_the_hint():
    with pytest.raises(SettingError, match=f"^Set {NAME}. Ask the agency.$"):
        environment.text(NAME, hint="Ask the agency.")


def test_an_empty_variable_counts_as_not_given(monkeypatch):
    monkeypatch.setenv(NAME, "")
    assert environment.text(NAME, "default") == "default"
    assert environment.integer(NAME, 7) == 7
    assert environment.boolean(NAME, default=True) is True
    assert environment.listing(NAME, ["a"]) == ["a"]


def test_a_value_outside_the_choices_is_refused_with_the_choices(monkeypatch):
    monkeypatch.setenv(NAME, "postgress")
    with pytest.raises(SettingError, match="must be one of app, reader"):
        environment.text(NAME, choices=("app", "reader"))


@pytest.mark.parametrize(("value", "meaning"), [("1", True), ("TRUE", True), ("on", True), ("no", False), ("0", False)])
def test_a_switch_reads_the_usual_words(monkeypatch, value, meaning):
    monkeypatch.setenv(NAME, value)
    assert environment.boolean(NAME, default=not meaning) is meaning


@pytest.mark.parametrize("value", ["2", "ja", "truee", "enabled"])
def test_a_switch_refuses_anything_else(monkeypatch, value):
    monkeypatch.setenv(NAME, value)
    with pytest.raises(SettingError, match="write true or false"):
        environment.boolean(NAME, default=False)


@pytest.mark.parametrize(
    ("value", "sentence"), [("x", "whole number"), ("1.5", "whole number"), ("0", "at least 1"), ("9", "at most 8")]
)
def test_a_number_refuses_words_fractions_and_what_is_out_of_bounds(monkeypatch, value, sentence):
    monkeypatch.setenv(NAME, value)
    with pytest.raises(SettingError, match=sentence):
        environment.integer(NAME, minimum=1, maximum=8)


def test_a_list_loses_blanks_and_empty_items(monkeypatch):
    monkeypatch.setenv(NAME, " a, b ,,c ")
    assert environment.listing(NAME) == ["a", "b", "c"]


def test_a_secret_is_read_from_the_named_file_without_its_last_newline(monkeypatch, tmp_path):
    file = tmp_path / "secret"
    file.write_text(" pass word \n")
    monkeypatch.setenv(f"{NAME}_FILE", str(file))
    assert environment.secret(NAME) == " pass word "


def test_a_secret_given_twice_is_refused_without_being_shown(monkeypatch, tmp_path):
    monkeypatch.setenv(NAME, "hunter2")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingError, match="both set") as refused:
        environment.secret(NAME)
    assert "hunter2" not in str(refused.value)


def test_an_unreadable_secret_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "none"))
    with pytest.raises(SettingError, match=r"none, which cannot be read \(No such file or directory\)"):
        environment.secret(NAME, "default")


def test_an_empty_secret_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "empty").write_text("\n")
    monkeypatch.setenv(f"{NAME}_FILE", str(tmp_path / "empty"))
    with pytest.raises(SettingError, match="is empty"):
        environment.secret(NAME, "default")


def test_a_path_is_made_absolute(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(NAME, "var")
    assert environment.path(NAME, tmp_path) == tmp_path / "var"
