"""docker-compose.yml: every command exists, nobody runs as root, every process knows only its own password."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from core.roles import LOGIN_ROLES

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "glasscase")


def commands(service) -> list[list[str]]:
    """The commands of a service as lists of words; those inside `sh -c` one by one."""
    words = service["command"]
    if words[:2] == ["sh", "-c"]:
        return [shlex.split(part) for part in re.split(r"&&|;", words[2])]
    return [words]


def test_the_services_of_the_design_are_there():
    assert set(OURS) == {
        "migrate",
        "web",
        "worker",
        "enrolment-worker",
        "evaluation-worker",
        "beat",
        "sequencer",
        "signer",
        "witness_client",
        "notifier",
    }
    assert SERVICES["database"]["image"] == "pgvector/pgvector:pg18"


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name):
    for command in commands(SERVICES[name]):
        match command:
            case ["python", "manage.py", subcommand, *options]:
                assert subcommand in get_commands()
                load_command_class(get_commands()[subcommand], subcommand).create_parser(
                    "manage.py", subcommand
                ).parse_args(options)
            case ["celery", "-A", module, "worker" | "beat" as kind, *options]:
                app = import_module(module).app
                app.finalize()
                if kind == "worker":
                    asked = options[options.index("--queues") + 1].split(",")
                    assert set(asked) <= set(app.amqp.queues)
            case ["gunicorn", target, *_]:
                module, _, attribute = target.partition(":")
                assert callable(getattr(import_module(module), attribute))
            case _:
                pytest.fail(f"{name} runs something unknown: {command}")


def test_every_queue_has_a_worker():
    from core.celery import app

    served = set()
    for service in SERVICES.values():
        words = service.get("command", [])
        if "--queues" in words:
            served |= set(words[words.index("--queues") + 1].split(","))
    assert served == set(app.amqp.queues)


def test_the_clients_of_the_database_and_the_broker_are_installed():
    assert import_module("kombu.transport.redis").redis is not None
    assert import_module("psycopg")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_is_root_or_may_become_it_or_write_its_own_files(name):
    service = SERVICES[name]
    assert not str(service["user"]).startswith("0")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"migrate"}))
def test_every_lasting_service_has_a_health_check(name):
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", sorted(set(OURS) - {"migrate"}))
def test_every_process_waits_for_the_migration_and_for_healthy_servers(name):
    waits = SERVICES[name]["depends_on"]
    assert waits["migrate"] == {"condition": "service_completed_successfully"}
    assert waits["database"] == waits["broker"] == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", sorted(set(OURS) - {"migrate"}))
def test_every_process_knows_the_password_of_its_own_role_only(name):
    service = SERVICES[name]
    role = service["environment"].get("GLASSCASE_DB_ROLE", "app")
    assert role in LOGIN_ROLES
    assert role != "migrate"
    assert [secret for secret in service["secrets"] if secret.startswith("db_")] == [f"db_{role}"]
    assert [name for name in service["environment"] if "PASSWORD" in name] == [
        f"GLASSCASE_DB_PASSWORD_{role.upper()}_FILE"
    ]


def test_the_migration_knows_every_role():
    given = {name for name in SERVICES["migrate"]["environment"] if name.startswith("GLASSCASE_DB_PASSWORD_")}
    assert given == {f"GLASSCASE_DB_PASSWORD_{role.upper()}_FILE" for role in LOGIN_ROLES}


def test_secrets_are_files_that_exist_as_declared_and_no_value_stands_in_the_file():
    made = (ROOT / "scripts" / "make_secrets.sh").read_text(encoding="utf-8")
    for name, declared in COMPOSE["secrets"].items():
        assert declared == {"file": f"./var/compose/{name}"}
        assert re.search(rf"\b{name}\b", made), f"make secrets does not write {name}"
    for service in SERVICES.values():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|BROKER_URL", key):
                assert key.endswith("_FILE")
                assert Path(value).name in service["secrets"]


def test_only_the_signer_sees_its_key_and_only_the_web_is_published_on_loopback():
    holders = [
        name for name, service in SERVICES.items() if any(v.startswith("signer:") for v in service.get("volumes", []))
    ]
    assert holders == ["signer"]
    assert "state:/state" not in SERVICES["signer"]["volumes"]
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8000:8000"]}


def test_the_database_has_room_for_parallel_scans_and_keeps_statements_out_of_its_log():
    service = SERVICES["database"]
    assert service["shm_size"] == "1gb"
    for setting in ("log_min_error_statement=panic", "log_parameter_max_length_on_error=0", "log_statement=ddl"):
        assert setting in service["command"]
    assert "--auth=scram-sha-256" in service["environment"]["POSTGRES_INITDB_ARGS"]


def test_the_image_runs_as_nobody_special():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["10001:10001"]
    assert sum(line.startswith("FROM ") for line in lines) == 2
    assert all(service["user"] == "10001:10001" for service in (SERVICES[name] for name in OURS))
