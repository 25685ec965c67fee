#!/bin/sh
# Write the secrets that docker-compose.yml reads to var/compose, each once: what exists stays.
# Files are readable by all because a container's user is not this one; the directory admits its owner only.
set -eu

directory=var/compose
names="secret_key db_superuser db_migrate db_app db_sequencer db_signer db_witness_client db_notifier db_registrar db_reader broker_password"

mkdir -p "$directory"
chmod 0700 "$directory"

keep() { # keep NAME CONTENT
    [ -s "$directory/$1" ] || printf '%s' "$2" >"$directory/$1"
    chmod 0444 "$directory/$1"
}

random() {
    od -An -v -tx1 -N 32 /dev/urandom | tr -d ' \n'
}

for name in $names; do
    keep "$name" "$(random)"
done
keep broker_url "redis://:$(cat "$directory/broker_password")@broker:6379/0"
echo "Secrets are in $directory. Keep a copy of them apart from the database's backups."
