#!/bin/sh
# Write the secrets that docker-compose.yml reads to var/compose, each once: what exists stays. Named shards get theirs as well.
# usage: make_secrets.sh [SHARD ...]
# Files are readable by all because a container's user is not this one; the directory admits its owner only.
set -eu

directory=var/compose
roles="db_superuser db_migrate db_app db_sequencer db_signer db_witness_client db_notifier db_registrar db_reader"

mkdir -p "$directory"
chmod 0700 "$directory"

keep() { # keep NAME CONTENT
    [ -s "$directory/$1" ] || printf '%s' "$2" >"$directory/$1"
    chmod 0444 "$directory/$1"
}

random() {
    od -An -v -tx1 -N 32 /dev/urandom | tr -d ' \n'
}

for name in secret_key $roles broker_password; do
    keep "$name" "$(random)"
done
keep broker_url "redis://:$(cat "$directory/broker_password")@broker:6379/0"
for shard in "$@"; do
    for role in $roles; do
        keep "${shard}_$role" "$(random)"
    done
    # Faces and approval secrets travel to a shard: its database has a certificate, and everybody who connects compares it.
    if [ ! -s "$directory/${shard}_tls_certificate" ]; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=database_$shard" \
            -addext "subjectAltName=DNS:database_$shard" \
            -keyout "$directory/${shard}_tls_key" -out "$directory/${shard}_tls_certificate" 2>/dev/null
        chmod 0444 "$directory/${shard}_tls_key" "$directory/${shard}_tls_certificate"
    fi
done
echo "Secrets are in $directory. Keep a copy of them apart from the database's backups."
