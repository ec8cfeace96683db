#!/usr/bin/env bash
# Makes an environment with the versions of constraints.txt and installs this package into it.
# The Makefile, docker/Dockerfile and tests/test_packaging.py all install with this script.
#
# usage: scripts/install.sh [--editable] [--extras NAME,NAME] VENV
#   PYTHON             the interpreter to build on (default: the first of python3.12, 3.11, 3.13, python3 that fits)
#   UV_TORCH_BACKEND   read by uv: "cpu" takes torch and torchvision without the CUDA libraries; unset: the ordinary builds
set -euo pipefail

usage() { sed -n '5,7s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

editable=() extras="" venv=""
while [ $# -gt 0 ]; do
    case "$1" in
        --editable) editable=(--editable) ;;
        --extras) [ $# -ge 2 ] || usage; extras="[$2]"; shift ;;
        -*) usage ;;
        *) [ -z "$venv" ] || usage; venv="$1" ;;
    esac
    shift
done
[ -n "$venv" ] || usage
case "$venv" in /*) ;; *) venv="$PWD/$venv" ;; esac
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

fits() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.12 python3.11 python3.13 python3; do
        if fits "$candidate"; then command -v "$candidate"; return; fi
        if [ -n "${PYTHON:-}" ]; then break; fi # what was asked for is never replaced silently
    done
    echo "Python 3.11 or newer is needed; ${PYTHON:-python3} is $("${PYTHON:-python3}" --version 2>&1 || true)." >&2
    echo "Install one (for example the package python3.12 of your system) or name it: PYTHON=/path/to/python3.12 make ..." >&2
    return 1
}

# A program named uv may be a shim without a program behind it, so it is asked for its version.
uv="uv"
uv --version >/dev/null 2>&1 || uv="$venv/bin/uv"

if ! fits "$venv/bin/python"; then
    python="$(find_python)"
    rm -rf "$venv"
    echo "Making $venv with $("$python" --version) ..."
    if [ "$uv" = uv ]; then
        UV_PYTHON_DOWNLOADS=never uv venv --quiet --python "$python" "$venv"
    elif ! "$python" -m venv "$venv"; then
        rm -rf "$venv"
        echo "$python cannot make environments. Install its venv module (Debian and Ubuntu: the package python3-venv) or uv." >&2
        exit 1
    fi
fi
if [ "$uv" != uv ] && ! "$uv" --version >/dev/null 2>&1; then
    echo "Fetching uv with pip ..."
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$root/constraints.txt" uv
fi

echo "Installing the versions of constraints.txt (about 3 GB to fetch where nothing is cached) ..."
export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-600}" # the largest wheels take minutes on a slow line
"$uv" pip install --python "$venv/bin/python" \
    --constraints "$root/constraints.txt" --build-constraints "$root/constraints.txt" \
    ${editable[@]+"${editable[@]}"} "$root$extras" \
    || { echo "The installation did not finish; what uv says above is the reason. Run the same command again to go on." >&2; exit 1; }
