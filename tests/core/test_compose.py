"""docker-compose.yml, and with it docker-compose.shards.yml: every command exists, nobody runs as root, every process knows only
its own password."""

from __future__ import annotations

import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from django.core.management import get_commands, load_command_class

from core import shard_file
from core.roles import LOGIN_ROLES

ROOT = Path(__file__).resolve().parents[2]


def merged(first, second):
    """As `docker compose` does it with several files: mappings name by name, lists one behind the other."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {name: merged(first[name], value) if name in first else value for name, value in second.items()}
    return first + second if isinstance(first, list) and isinstance(second, list) else second


ALONE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SHARD = yaml.safe_load((ROOT / "docker-compose.shards.yml").read_text(encoding="utf-8"))
COMPOSE = merged(ALONE, SHARD)
SERVICES = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "glasscase")
OF_SHARD = ("migrate_north", "sequencer_north", "signer_north", "notifier_north")
MIGRATIONS = {"migrate", "migrate_north"}
REACHING = ("web", "worker", "enrolment-worker")


def given(service) -> dict[str, str]:
    """The secrets of a service, with the file that each is in its container."""
    listed = [one if isinstance(one, dict) else {"source": one} for one in service.get("secrets", [])]
    return {one["source"]: one.get("target", f"/run/secrets/{one['source']}") for one in listed}


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
        *OF_SHARD,
    }
    assert {name for name in ALONE["services"] if ALONE["services"][name]["image"] == "glasscase"} == set(OURS) - set(
        OF_SHARD
    )
    assert SERVICES["database"]["image"] == SERVICES["database_north"]["image"] == "pgvector/pgvector:pg18"


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


@pytest.mark.parametrize("name", sorted(set(SERVICES) - MIGRATIONS))
def test_every_lasting_service_has_a_health_check(name):
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", sorted(set(OURS) - MIGRATIONS))
def test_every_process_waits_for_the_migration_and_for_healthy_servers(name):
    waits = SERVICES[name]["depends_on"]
    place = "_north" if name in OF_SHARD else ""
    assert waits[f"migrate{place}"] == {"condition": "service_completed_successfully"}
    assert waits[f"database{place}"] == waits["broker"] == {"condition": "service_healthy"}


@pytest.mark.parametrize("name", sorted(set(OURS) - MIGRATIONS))
def test_every_process_knows_the_password_of_its_own_role_only(name):
    service = SERVICES[name]
    role = service["environment"].get("GLASSCASE_DB_ROLE", "app")
    assert role in LOGIN_ROLES
    assert role != "migrate"
    passwords = {secret for secret in given(service) if "db_" in secret}
    if name in OF_SHARD:
        assert passwords == {f"north_db_{role}"}
    else:
        assert passwords == {f"db_{role}", *({"north_db_app"} if name in REACHING else ())}
    assert [name for name in service["environment"] if "PASSWORD" in name] == [
        f"GLASSCASE_DB_PASSWORD_{role.upper()}_FILE"
    ]


@pytest.mark.parametrize("name", sorted(MIGRATIONS))
def test_the_migration_knows_every_role(name):
    told = {name for name in SERVICES[name]["environment"] if name.startswith("GLASSCASE_DB_PASSWORD_")}
    assert told == {f"GLASSCASE_DB_PASSWORD_{role.upper()}_FILE" for role in LOGIN_ROLES}


def test_secrets_are_files_that_exist_as_declared_and_no_value_stands_in_the_file(tmp_path):
    subprocess.run(
        ["sh", str(ROOT / "scripts" / "make_secrets.sh"), "north"], cwd=tmp_path, check=True, capture_output=True
    )
    made = {file.name: file.read_bytes() for file in (tmp_path / "var" / "compose").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert len(set(made.values())) == len(made), "none has the password of another"
    certificate = x509.load_pem_x509_certificate(made["north_tls_certificate"])
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["database_north"]
    for name, declared in COMPOSE["secrets"].items():
        assert declared == {"file": f"./var/compose/{name}"}
    for service in SERVICES.values():
        assert set(given(service)) <= set(COMPOSE["secrets"])
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|BROKER_URL|PGSSL", key):
                assert key.endswith("_FILE") or key == "PGSSLROOTCERT"
                assert value in given(service).values()


def test_only_the_signer_sees_its_key_and_only_the_web_is_published_on_loopback():
    for signer in ("signer", "signer_north"):
        holders = [
            name for name, one in SERVICES.items() if any(v.startswith(f"{signer}:") for v in one.get("volumes", []))
        ]
        assert holders == [signer]
        assert "state:/state" not in SERVICES[signer]["volumes"]
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["127.0.0.1:8000:8000"]}


@pytest.mark.parametrize("name", ["database", "database_north"])
def test_the_database_has_room_for_parallel_scans_and_keeps_statements_out_of_its_log(name):
    service = SERVICES[name]
    assert service["shm_size"] == "1gb"
    started = " ".join(service["command"]).split()
    for setting in ("log_min_error_statement=panic", "log_parameter_max_length_on_error=0", "log_statement=ddl"):
        assert setting in started
    assert "--auth=scram-sha-256" in service["environment"]["POSTGRES_INITDB_ARGS"]


def test_web_and_workers_find_the_shard_that_its_own_processes_serve(tmp_path):
    place = shard_file.place(tmp_path)
    place.parent.mkdir()
    place.write_text(COMPOSE["configs"]["shards"]["content"])
    [shard] = shard_file.read(tmp_path).values()
    assert (shard.name, shard.host, shard.sslmode) == ("north", "database_north", "verify-full")
    home = "/state/shards/north"
    for name in (*REACHING, "migrate_north"):
        assert SERVICES[name]["configs"] == [{"source": "shards", "target": "/state/shards/shards.toml"}]
    for name in REACHING:
        assert given(SERVICES[name])["north_db_app"] == f"{home}/secrets/db_app"
        assert f"published_north:{home}/signer:ro" in SERVICES[name]["volumes"]
        assert SERVICES[name]["environment"]["GLASSCASE_DB_HOST"] == "database"
    assert given(SERVICES["migrate_north"])["north_db_migrate"] == f"{home}/secrets/db_migrate"
    main = SERVICES["signer"]["environment"]["GLASSCASE_LOG_ORIGIN"]
    for name in OF_SHARD:
        environment = SERVICES[name]["environment"]
        assert (environment["GLASSCASE_DB_HOST"], environment["GLASSCASE_DB_SSLMODE"]) == (shard.host, shard.sslmode)
        if name != "migrate_north":
            assert environment["GLASSCASE_LOG_ORIGIN"] == shard.origin(main)
    assert SERVICES["signer_north"]["environment"]["GLASSCASE_LOG_VKEYS"] == "/published/vkey"
    assert "published_north:/published" in SERVICES["signer_north"]["volumes"]


def test_the_image_runs_as_nobody_special():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["10001:10001"]
    assert sum(line.startswith("FROM ") for line in lines) == 2
    assert all(service["user"] == "10001:10001" for service in (SERVICES[name] for name in OURS))
