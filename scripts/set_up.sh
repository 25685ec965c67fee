#!/bin/sh
# Install the pinned requirements into .venv: with uv, and where uv cannot run with pip. Called by make.
# Every file is checked against the hashes in requirements/; nothing is resolved anew (--no-deps).
set -eu

fail() {
    echo "$*" >&2
    exit 1
}

[ -n "${PYTHON:-}" ] || fail "No Python 3.11 or newer with venv was found. Install it (Debian: python3 python3-venv), or name it: make PYTHON=/path/to/python3 …"

log=.venv/set_up.log
if ! [ -x .venv/bin/python ] || ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    rm -rf .venv
    "$PYTHON" -m venv .venv || fail "$PYTHON could not make .venv. On Debian: apt-get install python3-venv"
fi
: >"$log"

echo "Installing into .venv (once; a few minutes on a slow line) …"
started=$(date +%s)

with_pip() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes -r "$1" >>"$log" 2>&1
}

with_uv() {
    # The index's certificate may be one that only this machine knows.
    UV_SYSTEM_CERTS=1 UV_NO_PROGRESS=1 VIRTUAL_ENV="$PWD/.venv" .venv/bin/uv pip install --quiet --no-deps --require-hashes \
        -r requirements/development.txt >>"$log" 2>&1
}

tool=
if [ "${GLASSCASE_NO_UV:-}" != 1 ] && with_pip requirements/uv.txt && with_uv; then
    tool=uv
elif with_pip requirements/development.txt; then
    tool=pip
else
    tail -n 20 "$log" >&2
    fail "The requirements could not be installed; the whole log is in $log."
fi

# A verifier of signed logs that others wrote, for the tests alone. It asks for Python 3.12 and runs on 3.11, so it stands beside the
# packages, where nothing else finds it. Tests that need it say so where it is missing.
rm -rf .venv/second_verifier
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes --ignore-requires-python \
    --target .venv/second_verifier -r requirements/second_verifier.txt >>"$log" 2>&1 ||
    echo "The second verifier of the tests could not be installed (see $log); its tests will be skipped." >&2
echo "Installed with $tool in $(($(date +%s) - started)) s."
touch .venv/.ready
