"""The settings as an operator meets them: safe without being asked, and loud when wrong."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_manage(home, *arguments, **variables):
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", "GLASSCASE_HOME": str(home), **variables}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def shown(home, *names, **variables):
    code = f"from django.conf import settings as s; print(*(repr(getattr(s, n)) for n in {names!r}), sep='\\n')"
    environment = {
        "PATH": os.defpath,
        "GLASSCASE_HOME": str(home),
        "DJANGO_SETTINGS_MODULE": "core.settings",
        **variables,
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_without_any_variable_the_settings_are_the_safe_ones(tmp_path):
    names = (
        "DEBUG",
        "SESSION_COOKIE_SECURE",
        "CSRF_COOKIE_SECURE",
        "SECURE_SSL_REDIRECT",
        "SECURE_HSTS_SECONDS",
        "ALLOWED_HOSTS",
    )
    assert shown(tmp_path, *names) == [
        "False",
        "True",
        "True",
        "True",
        "31536000",
        "['127.0.0.1', 'localhost', '[::1]']",
    ]


def test_a_secret_key_is_made_once_and_kept_for_its_owner_only(tmp_path):
    [first] = shown(tmp_path, "SECRET_KEY")
    assert shown(tmp_path, "SECRET_KEY") == [first]
    assert len(first) > 50
    kept = tmp_path / "secrets" / "secret_key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_a_given_secret_key_writes_nothing(tmp_path):
    file = tmp_path / "key"
    file.write_text("k" * 60 + "\n")
    assert shown(tmp_path / "home", "SECRET_KEY", GLASSCASE_SECRET_KEY_FILE=str(file)) == [repr("k" * 60)]
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"GLASSCASE_DEBUG": "maybe"}, "GLASSCASE_DEBUG is 'maybe'; write true or false."),
        ({"GLASSCASE_DB_ROLE": "root"}, "GLASSCASE_DB_ROLE is 'root'; it must be one of migrate, app,"),
        ({"GLASSCASE_DB_PORT": "70000"}, "GLASSCASE_DB_PORT is 70000; it must be at most 65535."),
        ({"GLASSCASE_HTTPS": "no", "GLASSCASE_ALLOWED_HOSTS": "police.example"}, "serve over HTTPS, or allow loopback names only"),
        ({"GLASSCASE_SECRET_KEY_FILE": "/nonexistent/key"}, "GLASSCASE_SECRET_KEY_FILE names /nonexistent/key, which cannot be read"),
    ],
)  # fmt: skip
def test_a_wrong_setting_stops_every_command_with_a_sentence_and_no_traceback(tmp_path, variables, sentence):
    done = run_manage(tmp_path, "check", **variables)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_home_too_deep_for_sockets_stops_with_a_sentence(tmp_path):
    done = run_manage(tmp_path / ("d" * 120), "init_database")
    assert done.returncode == 2
    assert "Set GLASSCASE_HOME to a path that is" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_stops_with_a_sentence(tmp_path):
    real = {"GLASSCASE_DB_HOST": "127.0.0.1", "GLASSCASE_DB_PORT": "1", "GLASSCASE_DB_SUPERUSER_PASSWORD": "x"}
    done = run_manage(tmp_path, "init_database", **real)
    assert done.returncode == 1
    assert "No connection as superuser" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_real_server_without_its_superuser_password_names_the_setting(tmp_path):
    done = run_manage(tmp_path, "init_database", GLASSCASE_DB_HOST="127.0.0.1", GLASSCASE_DB_PORT="1")
    assert done.returncode == 2
    assert "Set GLASSCASE_DB_SUPERUSER_PASSWORD or GLASSCASE_DB_SUPERUSER_PASSWORD_FILE" in done.stderr


def test_every_answer_forbids_inline_scripts_frames_and_other_origins(database, client):
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"


def test_health_is_an_honest_503_when_the_database_is_away(database, client, settings, monkeypatch):
    from django.db import connection

    connection.close()
    settings.GLASSCASE_DB_HOST, settings.GLASSCASE_DB_PORT = "127.0.0.1", 1
    assert client.get("/healthz").status_code == 503
    monkeypatch.setenv("GLASSCASE_DB_PASSWORD", "x")
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (503, b"database unavailable\n")


def test_only_strong_hashes_and_long_passwords_are_taken(settings):
    names = [hasher.rsplit(".", 1)[1] for hasher in settings.PASSWORD_HASHERS]
    assert names == ["ScryptPasswordHasher", "PBKDF2PasswordHasher"]
    lengths = [
        validator["OPTIONS"]["min_length"]
        for validator in settings.AUTH_PASSWORD_VALIDATORS
        if "min_length" in validator.get("OPTIONS", {})
    ]
    assert lengths == [12]


def test_django_s_own_administration_is_not_there(settings):
    assert "django.contrib.admin" not in settings.INSTALLED_APPS
