"""Who takes part in the demonstration, and where their sign-ins and approval secrets are kept."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from django.utils import timezone

from core import agencies, approvers, people
from core.models import Agency, User
from core.person_roles import ROLES, Permission

AGENCY: Final = "demo-pd"
LAW_PACK: Final = "utah"
PEOPLE: Final = {
    "olivia": ("Olivia Okafor", "officer"),
    "sam": ("Sam Sorensen", "supervisor"),
    "sue": ("Sue Sato", "supervisor"),
    "erin": ("Erin Evans", "examiner"),
    "ed": ("Ed Eriksen", "examiner"),
    "cora": ("Cora Castillo", "counsel"),
    "carl": ("Carl Chen", "custodian"),
    "ada": ("Ada Adeyemi", "administrator"),
    "bea": ("Bea Bernstein", "board"),
    "axel": ("Axel Aguilar", "auditor"),
}


@dataclass(frozen=True)
class Cast:
    agency: Agency
    users: dict[str, User]
    folder: Path

    def secret_file(self, username: str) -> Path:
        """The file with a person's approval secret."""
        return self.folder / "secrets" / username


def _keep(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def sign_ins(folder: Path) -> list[dict[str, str]]:
    """username, password and role of everybody in the demonstration; empty before the first one."""
    path = folder / "sign-ins.json"
    if not path.is_file():
        return []
    found: list[dict[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return found


def assemble(folder: Path) -> Cast:
    """Adds whoever is missing; people who are there from an earlier run stay as they are."""
    agency = Agency.objects.filter(code=AGENCY).first() or agencies.add(
        by=None,
        code=AGENCY,
        name="Demonstration Police Department",
        case_number_pattern=r"DM-[0-9]{4}-[0-9]{4}",
        case_number_example="DM-2026-0001",
        law_pack=LAW_PACK,
    )
    known = {row["username"]: row for row in sign_ins(folder)}
    trained = timezone.now().date() + timedelta(days=300)
    cast = Cast(agency, {}, folder)
    for username, (full_name, role) in PEOPLE.items():
        user = User.objects.filter(username=username).first()
        if user is None:
            password = people.first_password()
            user = people.add(
                by=None,
                username=username,
                full_name=full_name,
                agency=None if ROLES[role].oversight else agency,
                roles=[role],
                training_until=trained,
                password=password,
            )
            known[username] = {"username": username, "password": password, "role": ROLES[role].label}
            _keep(folder / "sign-ins.json", json.dumps(list(known.values()), indent=1))
        holds_secret = Permission.HOLD_APPROVAL_SECRET in ROLES[role].permissions
        if holds_secret and (approvers.state(user) != "enrolled" or not cast.secret_file(username).is_file()):
            _keep(cast.secret_file(username), approvers.enrol(user, f"{username}@agency.example"))
        cast.users[username] = user
    return cast
