"""What is logged about galleries and enrolments. Rows of `audit.log.events.REGISTRY`.

Each is (type, writer, sentence, fields, optional fields, commitments), as `events` explains them. No Django here.
"""

from __future__ import annotations

from typing import Final

EVENTS_OF_GALLERIES: Final[tuple[tuple[str, str, str, str, str, str], ...]] = (
    (
        "gallery:gallery:created",
        "app",
        "A gallery was created.",
        "gallery=id legal_basis=code retention_days=int",
        "",
        "name",
    ),
    (
        "gallery:edition:registered",
        "gallery_owner",
        "A gallery edition was registered.",
        "gallery=id edition=int model=hash dimension=int approver=id",
        "",
        "",
    ),
    (
        "gallery:edition:switched",
        "gallery_owner",
        "A gallery was switched to an edition.",
        "gallery=id edition=int approver=id",
        "",
        "",
    ),
    (
        "gallery:sub_gallery:defined",
        "gallery_owner",
        "A sub-gallery was defined by what manifests say of photos.",
        "gallery=id sub_gallery=code matches=codes mark=int approver=id",
        "",
        "",
    ),
    (
        "gallery:batch:opened",
        "gallery_owner",
        "An enrolment batch was opened.",
        "edition=int batch=int claim=hash",
        "",
        "",
    ),
    (
        "gallery:batch:discarded",
        "gallery_owner",
        "An enrolment batch was discarded.",
        "edition=int batch=int templates=int",
        "approver=id",
        "",
    ),
    (
        "gallery:batch:sealed",
        "gallery_owner",
        "An enrolment batch was sealed.",
        "edition=int batch=int templates=int digest=hash version=int",
        "",
        "",
    ),
    (
        "gallery:template:removed",
        "gallery_owner",
        "Templates were removed from searches.",
        "edition=int version=int templates=int digest=hash approver=id",
        "",
        "",
    ),
    (
        "gallery:person:expunged",
        "gallery_owner",
        "A person was expunged from every edition.",
        "person=id templates=int approver=id",
        "",
        "",
    ),
    (
        "gallery:codes:drawn",
        "gallery_owner",
        "The planes of an edition's codes were drawn.",
        "edition=int bits=int digest=hash",
        "",
        "",
    ),
    (
        "gallery:codes:built",
        "gallery_owner",
        "The templates of batches got their codes.",
        "edition=int batches=int templates=int",
        "",
        "",
    ),
    (
        "gallery:enrolment:started",
        "app",
        "An enrolment was started.",
        "run=id gallery=id edition=int photos=int",
        "",
        "manifest",
    ),
    (
        "gallery:import:started",
        "app",
        "Templates that somebody else computed are imported; that they come from the face model is the importer's word.",
        "run=id gallery=id edition=int model=hash origin=code templates=int",
        "",
        "file",
    ),
    (
        "gallery:enrolment:finished",
        "app",
        "An enrolment was finished.",
        "run=id gallery=id edition=int enrolled=int left_out=int",
        "",
        "report",
    ),
    (
        "gallery:enrolment:failed",
        "app",
        "An enrolment stopped before its end.",
        "run=id gallery=id edition=int reason=code",
        "",
        "",
    ),
    ("gallery:gallery:viewed", "app", "A gallery's list was read.", "gallery=id", "", ""),
)
