#!/usr/bin/env bash
# Remakes the locked requirement files from pyproject.toml and the *.in files. Needs `uv` (pip install uv).
# Hashes, no index lines: the lock says what is installed, never from where.
set -eu
cd "$(dirname "$0")/.."
lock() { # lock NAME SOURCE... : requirements/NAME.txt, in agreement with the runtime lock
    name=$1; shift
    uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet \
        --no-emit-index-url --no-emit-find-links --output-file "requirements/$name.txt" "$@"
}
lock runtime pyproject.toml
lock stack pyproject.toml --extra stack --constraint requirements/runtime.txt
lock tracing pyproject.toml --extra tracing --constraint requirements/runtime.txt
lock build requirements/build.in
lock test requirements/test.in --constraint requirements/stack.txt --constraint requirements/tracing.txt
lock bench requirements/bench.in --constraint requirements/test.txt
lock audit requirements/audit.in --constraint requirements/stack.txt --constraint requirements/test.txt
# The peers of the benchmark: each an environment of its own, in agreement with nothing.
for peer in bench/peers/*/requirements.in; do
    lock "../${peer%.in}" "$peer"
done
