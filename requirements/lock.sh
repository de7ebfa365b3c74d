#!/bin/sh
# Makes requirements/*.txt from pyproject.toml; the nodes' and the operator's locks are cuts of the developers' one.
# jars.txt follows from the pyspark that they name, once it is installed: `make jars`.
set -eu
uv=${1:-uv}
compile() { "$uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate "$@"; }
compile pyproject.toml --all-extras --group dev -o requirements/dev.txt
compile pyproject.toml --extra jupyter --extra tensorflow -c requirements/dev.txt -o requirements/nodes.txt
compile pyproject.toml -c requirements/dev.txt -o requirements/workers.txt
compile pyproject.toml --extra java --extra operator --extra tensorflow -c requirements/dev.txt -o requirements/operator.txt
compile requirements/bootstrap.in -c requirements/dev.txt -o requirements/bootstrap.txt
compile requirements/checkov.in -o requirements/checkov.txt
# Hosts may be ARM, too: each wheel has to be there for them. pyspark comes as source, and has no machine code.
"$uv" pip install -q --dry-run --require-hashes --only-binary :all: --no-binary pyspark --python-version 3.11 \
  --python-platform aarch64-manylinux_2_36 --target "$(mktemp -d)" -r requirements/nodes.txt
