"""Readers of environment variables that fail loudly, with a hint.

Every setting is read through one of these, so that a typing error stops the process with a sentence that says what to
do. An empty variable counts as not given. Secrets may be given as `NAME` or as `NAME_FILE`, the path of a file that
holds them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class SettingError(ImproperlyConfigured):
    """A setting is missing or wrong; the message tells the operator what to do."""


def _given(name: str) -> str | None:
    value = os.environ.get(name, "")
    return value if value != "" else None


def _hinted(sentence: str, hint: str) -> str:
    return f"{sentence} {hint}" if hint else sentence


def text(name: str, default: str | None = None, *, choices: Sequence[str] = (), hint: str = "") -> str:
    """Return the variable, or `default`.

    Raises SettingError when it is neither given nor defaulted, or not one of `choices` (when there are any).
    """
    value = _given(name)
    if value is None:
        if default is None:
            raise SettingError(_hinted(f"Set {name}.", hint))
        return default
    if choices and value not in choices:
        raise SettingError(_hinted(f"{name} is {value!r}; it must be one of {', '.join(choices)}.", hint))
    return value


def boolean(name: str, *, default: bool) -> bool:
    """Return a switch. Raises SettingError for anything but 1/0, true/false, yes/no, on/off."""
    value = _given(name)
    if value is None:
        return default
    lowered = value.strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise SettingError(f"{name} is {value!r}; write true or false.")


def integer(name: str, default: int | None = None, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """Return a whole number within the bounds. Raises SettingError otherwise."""
    value = _given(name)
    if value is None:
        if default is None:
            raise SettingError(f"Set {name} to a whole number.")
        return default
    try:
        number = int(value)
    except ValueError:
        raise SettingError(f"{name} is {value!r}; write a whole number.") from None
    if minimum is not None and number < minimum:
        raise SettingError(f"{name} is {number}; it must be at least {minimum}.")
    if maximum is not None and number > maximum:
        raise SettingError(f"{name} is {number}; it must be at most {maximum}.")
    return number


def listing(name: str, default: Sequence[str] = ()) -> list[str]:
    """Return the comma-separated items of the variable without surrounding blanks, or `default`."""
    value = _given(name)
    if value is None:
        return list(default)
    return [item.strip() for item in value.split(",") if item.strip()]


def secret(name: str, default: str | None = None, *, hint: str = "") -> str:
    """Return a secret given as `name`, or as the content of the file named by `name_FILE` (last newline removed).

    Raises SettingError when both are given, when the file cannot be read or is empty, or when nothing is given and
    there is no default. The secret itself never appears in a message.
    """
    value, file_name = _given(name), _given(f"{name}_FILE")
    if value is not None and file_name is not None:
        raise SettingError(f"{name} and {name}_FILE are both set; keep one of them.")
    if value is not None:
        return value
    if file_name is not None:
        try:
            content = Path(file_name).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else "not UTF-8 text"
            raise SettingError(f"{name}_FILE names {file_name}, which cannot be read ({reason}).") from None
        if not content:
            raise SettingError(f"{name}_FILE names {file_name}, which is empty.")
        return content
    if default is None:
        raise SettingError(_hinted(f"Set {name} or {name}_FILE.", hint))
    return default


def path(name: str, default: Path) -> Path:
    """Return an absolute path: `~` is expanded, a relative path counts from the current directory."""
    value = _given(name)
    return Path(value).expanduser().absolute() if value is not None else default
