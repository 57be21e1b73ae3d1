# make demo       sets everything up, runs an order book through the stack, proves the promises
# make test       sets everything up, runs every test
# make bench      measures the real thing beside yardsticks, and says what misses its mark
# make drill      faults while orders flow: what was done, what was seen, which promises held
# make simulate   the whole system on virtual time, with faults at any I/O call
# make experiment changes a copy, or breaks a rule, and counts what comes of it
# make up         runs the stack until Ctrl-C
#
# Options: make demo STYLE=orchestrated|synchronous|choreographed TRANSPORT=nats|kafka|http
#          make demo ORDERS=2000 SEED=7 BOOK=path STOCK=unlimited|listed PACE=serial JSON=1
#          make bench SOAK=1 ORDERS=5000 ONLY=sustained,dbos STYLES=all JSON=1
#          make drill SEED=7 LONG=1 STYLE=choreographed ONLY='kill -9, broker' JSON=1
#          make simulate SEEDS=1000 SEED=7 STYLE=choreographed BUGS=1 JSON=1
#          make experiment NAME=criminal-check|reorder|second-caller|dual-write|tweet-or-mail JSON=1
#          make up DATA=dir INSTANCES=2 STYLE=... TRANSPORT=...
#          make ... PYTHON=python3.12
# What is given to make stands in the environment of what it starts, where it is read.

PYTHON ?= python3
RUN = .venv/bin/python -m
# make cannot tell anybody when it is killed: what it started looks for it.
HERE = exec env STAGEPOST_PARENT=$$PPID

.PHONY: demo test bench drill simulate experiment up check lock sbom installed
.DEFAULT_GOAL := demo

demo: installed
	@$(HERE) $(RUN) services.demo

bench: installed
	@$(HERE) $(RUN) tests.bench

drill: installed
	@$(HERE) $(RUN) tests.drill

up: installed
	@$(HERE) $(RUN) stagepost up

simulate: installed
	@$(HERE) $(RUN) tests.simulation

experiment: installed
	@$(HERE) $(RUN) tests.experiments

test: installed
	@$(HERE) $(RUN) pytest

check: installed
	@$(RUN) ruff check
	@$(RUN) ruff format --check
	@$(RUN) mypy
	@.venv/bin/lint-imports
	@.venv/bin/hadolint Dockerfile

# What the containers are made of, as CycloneDX.
sbom:
	@$(PYTHON) platform/sbom.py

installed:
	@$(PYTHON) platform/install.py

# Litestar invents examples with them, where somebody asks for that; in the image they would be 25 MB.
UNUSED = faker polyfactory

# Writes down the newest versions that fit pyproject.toml, with their hashes.
lock: installed
	@$(RUN) uv pip compile -q --universal --python-version 3.11 --generate-hashes --extra dev --upgrade \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  pyproject.toml -o platform/requirements.lock
	@$(RUN) uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  $(foreach package,$(UNUSED),--no-emit-package $(package)) \
	  --constraint platform/requirements.lock pyproject.toml -o platform/image.lock
	@$(RUN) uv pip compile -q --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	  tests/bench/peers/requirements.in -o tests/bench/peers/requirements.txt
