# Every command of the project. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin

# Whoever forbids bytecode (container images do) would have every process of the platform and of the tests compile 1,500 modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help env up test check fmt fmt-check lint types imports proto proto-check release-api lock bench new-slice doctor

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Run
env:
	@if [ -z "$(PYTHON)" ]; then echo "voisnap: Python 3.11 or newer is needed and was not found. Install it, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; fi
	@$(PYTHON) libs/stack/bootstrap.py

up: env ## run the whole platform here (PORT, RUNTIMES, VOISNAP_HOME)
	@VOISNAP_FOLLOW_PARENT=1 exec $(BIN)/voisnap up

doctor: env ## check this installation and say what to change
	@$(BIN)/voisnap doctor

##@ Hold
test: env ## every test, on real servers and real speech
	@$(BIN)/python -m voisnap_testkit.prepare
	@$(BIN)/python -m voisnap_testkit.side_by_side

check: env fmt-check lint types imports proto-check ## everything a review would otherwise say

fmt: env ## format the code
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix-only .

fmt-check: env
	@$(BIN)/ruff format --check -q .

lint: env ## lint
	@$(BIN)/ruff check -q .

types: env ## check types
	@$(BIN)/basedpyright --level error

imports: env ## check who may import whom
	@$(BIN)/lint-imports --no-cache

bench: env ## print the figures of the README, beside those of its peers (BENCH="--full" for all of them)
	@$(BIN)/python -m voisnap_testkit.prepare --models
	@for file in turn_latency barge_in; do echo "== $$file"; $(BIN)/python tests-e2e/load/$$file.py || exit 1; done
	@echo "== compare"; $(BIN)/python tests-e2e/load/compare.py $(BENCH)
	@echo "== semantic_turns"; $(BIN)/python tests-e2e/load/semantic_turns.py
	@echo "== rest"; $(BIN)/python tests-e2e/load/rest.py $(filter --full,$(BENCH)) || true  # says itself what falls short
	@$(if $(findstring --full,$(BENCH)),echo "== false_ends"; $(BIN)/python tests-e2e/load/false_ends.py,true)

##@ Change
proto: env ## write the generated contracts and SDKs anew
	@$(BIN)/python -m voisnap_proto.generate
	@$(BIN)/python -m voisnap_testkit.seed_examples services/api/voisnap_api/openapi_examples.json
	@$(BIN)/python -m voisnap_api openapi proto/openapi/api.json
	@$(BIN)/python -m voisnap_admin openapi proto/openapi/admin.json
	@$(BIN)/python libs/sdk-python/generate.py proto/openapi/api.json
	@$(BIN)/python libs/js/sdk/generate.py proto/openapi/api.json

proto-check: env
	@$(BIN)/python -m voisnap_proto.generate --check
	@$(BIN)/python -m voisnap_testkit.seed_examples --check services/api/voisnap_api/openapi_examples.json
	@$(BIN)/python -m voisnap_api openapi --check proto/openapi/api.json
	@$(BIN)/python -m voisnap_admin openapi --check proto/openapi/admin.json
	@$(BIN)/python -m voisnap_proto.openapi_compatibility
	@$(BIN)/python libs/sdk-python/generate.py --check proto/openapi/api.json
	@$(BIN)/python libs/js/sdk/generate.py --check proto/openapi/api.json

release-api: env ## make the OpenAPI documents the ones that later changes may not break
	@$(BIN)/python -m voisnap_proto.openapi_compatibility --release

lock: env ## resolve the dependencies anew into requirements.lock
	@VIRTUAL_ENV=$$PWD/.venv $(BIN)/uv lock -q
	@$(BIN)/uv export -q --all-packages --all-extras --all-groups --no-emit-workspace --no-header --no-annotate --format requirements.txt -o requirements.lock

new-slice: env ## write the files of a new slice: SERVICE=api NAME=things
	@$(BIN)/python -m voisnap_testkit.new_slice "$(SERVICE)" "$(NAME)"
