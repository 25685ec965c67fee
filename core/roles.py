"""The database's roles, schemas and owners: one list for `init_database`, the tests and the checks."""

from __future__ import annotations

# Roles that log in, and what each is for (shown by `manage.py doctor`).
LOGIN_ROLES = {
    "migrate": "runs migrations; no process runs as it",
    "app": "web and worker",
    "sequencer": "gives every entry of the log its index",
    "signer": "signs checkpoints of the log",
    "witness_client": "stores cosignatures of witnesses",
    "notifier": "tells approvers what was done in their name",
    "registrar": "enrols and revokes approvers",
    "reader": "reads the log and published reports",
}

# Roles that own objects and cannot log in.
OWNER_ROLES = ("log_owner", "gallery_owner", "gate_owner", "vault_owner", "evaluation_owner", "broker_owner")

# Schema -> owner. `public` (Django's tables) belongs to the migrate role.
SCHEMAS = {
    "log": "log_owner",
    "logwork": "log_owner",
    "gallery": "gallery_owner",
    "gate": "gate_owner",
    "vault": "vault_owner",
    "evaluation": "evaluation_owner",
    "broker": "broker_owner",
    "public": "migrate",
}

# Schemas in which a DROP is refused unless the transaction says that it means it.
GUARDED_SCHEMAS = ("log", "logwork", "gallery", "gate", "vault", "evaluation")

# Schemas in which an ALTER TABLE is refused as well. Not `gallery`: new editions attach partitions at run time.
FROZEN_SCHEMAS = ("log", "logwork", "gate", "vault")

# Set to 'on' with SET LOCAL by migrations, and by the few functions that drop a partition on purpose.
MAINTENANCE_SETTING = "glasscase.maintenance"
