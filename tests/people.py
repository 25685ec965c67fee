"""The people of the tests, made by the real services: names start with the letter of the role."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone

from core import agencies, approvers, people
from core.models import Agency, User

PASSWORD = "a heron stands in the reeds"


@dataclass(frozen=True)
class Cast:
    """Everybody's password is PASSWORD. `secrets` maps an approver's id to the approval secret as it was shown."""

    agency: Agency
    other_agency: Agency
    olivia: User  # officer
    oscar: User  # officer, colleague of Olivia
    sam: User  # supervisor
    sue: User  # supervisor
    erin: User  # examiner
    ed: User  # examiner
    cora: User  # counsel
    carl: User  # custodian
    bea: User  # oversight board, of no agency
    axel: User  # auditor, of no agency
    rae: User  # registered auditor, of no agency
    theo: User  # accredited tester, of no agency
    ada: User  # administrator of the agency
    xavier: User  # officer of the other agency
    secrets: dict[uuid.UUID, str] = field(default_factory=dict)

    @property
    def by_role(self) -> dict[str, User]:
        """One person of each role, by the role's code."""
        return {
            "officer": self.olivia,
            "supervisor": self.sam,
            "examiner": self.erin,
            "counsel": self.cora,
            "custodian": self.carl,
            "board": self.bea,
            "auditor": self.axel,
            "registered_auditor": self.rae,
            "tester": self.theo,
            "administrator": self.ada,
        }


def make_cast() -> Cast:
    """Add the agencies and people to the connected database, and enrol the approvers."""
    agency = agencies.add(by=None, code="riverton-pd", name="Riverton Police Department")
    other = agencies.add(by=None, code="lakeside-so", name="Lakeside Sheriff's Office")
    trained = timezone.now().date() + timedelta(days=200)

    def person(username: str, full_name: str, role: str, where: Agency | None = agency) -> User:
        return people.add(
            by=None,
            username=username,
            full_name=full_name,
            agency=where,
            roles=[role],
            badge_number=f"B-{username}",
            training_until=trained,
            password=PASSWORD,
        )

    cast = Cast(
        agency=agency,
        other_agency=other,
        olivia=person("olivia", "Olivia Orr", "officer"),
        oscar=person("oscar", "Oscar Ode", "officer"),
        sam=person("sam", "Sam Stone", "supervisor"),
        sue=person("sue", "Sue Sands", "supervisor"),
        erin=person("erin", "Erin Eng", "examiner"),
        ed=person("ed", "Ed Ellis", "examiner"),
        cora=person("cora", "Cora Cole", "counsel"),
        carl=person("carl", "Carl Cruz", "custodian"),
        bea=person("bea", "Bea Byrne", "board", None),
        axel=person("axel", "Axel Ames", "auditor", None),
        rae=person("rae", "Rae Rowe", "registered_auditor", None),
        theo=person("theo", "Theo Thorn", "tester", None),
        ada=person("ada", "Ada Abbot", "administrator"),
        xavier=person("xavier", "Xavier Xu", "officer", other),
    )
    for approver in (cast.sam, cast.sue, cast.cora, cast.carl):
        cast.secrets[approver.id] = approvers.enrol(approver, f"{approver.username}@example.org")
    return cast
