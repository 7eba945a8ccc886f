#!/bin/sh
# make_venv.sh PYTHON FOLDER: a new virtual environment, or one line that says what to install.
# Runs before any Python of ours can, so it trusts nothing but a shell.
set -eu
python=$1
folder=$2

fail() {
    echo "voxfleet: $1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 || fail \
    "$python: not found; install Python 3.11, 3.12 or 3.13 (Debian, Ubuntu: apt install python3 python3-venv) or name yours: PYTHON=python3.12"

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || fail \
    "$python: does not run; name a Python 3.11, 3.12 or 3.13: PYTHON=python3.12"

case $version in
3.11 | 3.12 | 3.13) ;;
*) fail "$python is Python $version; voxfleet needs 3.11, 3.12 or 3.13: install one and name it: PYTHON=python3.12" ;;
esac

"$python" -c 'import venv, ensurepip' 2>/dev/null || fail \
    "$python has no venv; install it (Debian, Ubuntu: apt install python$version-venv; Fedora: dnf install python3-pip)"

exec "$python" -m venv --clear "$folder"
