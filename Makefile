# Orchard's menu. `make` alone prints it.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Files are UTF-8 whatever the locale is.
export PYTHONUTF8 := 1
.DEFAULT_GOAL := help

# Each target without a dot or a slash is a word, and no file.
.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## Print this menu
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Each stamp is an installed lock: it is made again only when its lock changes.
ENVIRONMENT = scripts/doctor/environment.py
$(BIN)/uv: requirements/bootstrap.txt
	@command -v '$(PYTHON)' >/dev/null || { echo "There is no $(PYTHON) here: get Python 3.11 to 3.13, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@'$(PYTHON)' $(ENVIRONMENT) make .venv && touch $@

.venv/.%: requirements/%.txt $(BIN)/uv
	@echo "Installing $< into .venv"
	@$(BIN)/python $(ENVIRONMENT) install $< .venv && touch $@

# checkov's requirements contradict the project's own, so it has an environment of its own.
.venv-checkov/.checkov: requirements/checkov.txt $(BIN)/uv
	@echo "Installing $< into .venv-checkov"
	@$(BIN)/uv venv -q --clear --python $(BIN)/python .venv-checkov
	@$(BIN)/python $(ENVIRONMENT) install $< .venv-checkov && touch $@

demo: .venv/.operator ## The whole job on this machine (IMAGES=folder PHOTOS=1 WEIGHTS=file ARGS='--components 50')
	@$(BIN)/python -m pipeline demo --output runs $(if $(PHOTOS),--photos) $(call given,IMAGES WEIGHTS) $(ARGS)

setup: .venv/.dev ## Install everything into .venv and stop there

PYTEST = $(BIN)/python -m pytest
test: test-unit test-s3 test-job test-terraform ## Run the tests that need no hosts

test-unit: .venv/.dev ## Of these, the quick ones: no Spark, no server
	$(PYTEST) tests/unit

test-s3: .venv/.dev ## Those against a real S3 server
	$(PYTEST) tests/s3

test-job: .venv/.dev ## Whole runs of the job, on Spark
	$(PYTEST) tests/job

test-terraform: .venv/.dev .venv-checkov/.checkov ## Terraform against a double of AWS
	$(PYTEST) tests/terraform

SECONDS ?= 60
fuzz: .venv/.dev ## Decode mutated pictures, and see that none escapes (SECONDS=600 SEED=7)
	@$(BIN)/python -m tests.job.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

coverage: .venv/.dev .venv-checkov/.checkov ## Run them and require that they run 90 % of pipeline and scripts
	$(PYTEST) --cov --cov-report=term-missing:skip-covered --cov-fail-under=90

TESTS ?= tests/cluster
test-cluster: .venv/.dev ## Run the tests on real hosts booted on this machine (Linux, root)
	@$(SANDBOX) tools && $(PYTEST) $(TESTS)

BENCH = $(call given,IMAGES WEIGHTS)
bench: .venv/.dev ## Measure the job here, beside what people run today (IMAGES=folder WEIGHTS=file; an hour)
	$(BIN)/python -m benchmarks.job $(BENCH) && $(BIN)/python -m benchmarks.limit $(BENCH)
	PYTHONPATH=ansible/roles/s3a/files $(BIN)/python -m tests.doubles.s3.server bench $(BIN)/python -m benchmarks.ways $(BENCH) --s3 s3://bench

lint: .venv/.dev ## Check style, types and which room imports which
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache
	$(BIN)/zizmor --offline --quiet .github
	cd ansible && PATH="$$PWD/../$(BIN):$$PATH" && yamllint --strict . && ansible-lint --strict

audit: .venv/.dev ## Ask whether a hole is known in any package of the locks (needs PyPI)
	$(BIN)/pip-audit --disable-pip --require-hashes --requirement requirements/nodes.txt
	$(BIN)/pip-audit --disable-pip --require-hashes --requirement requirements/operator.txt

lock: $(BIN)/uv ## Make the locks again from pyproject.toml, that of jars from its pyspark, and the SBOMs from the locks
	requirements/lock.sh $(BIN)/uv
	@$(MAKE) --no-print-directory setup
	@PYTHONPATH=ansible/roles/environment/files/wheels $(BIN)/python requirements/pyspark_hash.py
	@$(MAKE) --no-print-directory jars sbom

jars: .venv/.dev ## Make requirements/jars.txt again from the pyspark that is installed (needs Maven's central repository)
	@$(BIN)/python requirements/jars.py

sbom: .venv/.dev ## Write requirements/sbom-*.json (CycloneDX) of the locks' wheels and jars, and of Spark's jars
	@$(BIN)/python requirements/sbom.py

docs: .venv/.dev ## Write docs/settings.md again from variables.tf and the job's --help, docs/scale.md from what was measured
	$(BIN)/python -m docs.settings
	$(BIN)/python -m docs.scale

FAB = $(BIN)/fab -r scripts
# `make up V=1` shows what the tools print.
FLAGS = $(if $(V),--verbose)

doctor: .venv/.operator ## Look at this machine, its network and the account; changes nothing
	@$(FAB) doctor $(FLAGS)

init: .venv/.operator ## Write terraform.tfvars from a few questions, and check this machine (ARGS='--name fruits --workers 3')
	@$(FAB) init $(FLAGS) $(ARGS)

plan: .venv/.operator ## What `make up` would do, and the price (PICTURES=1000000 PRECISION=bf16 MEGAPIXELS=12 DECODE=fast)
	@$(FAB) plan $(FLAGS) $(if $(ADMIN_CIDR),--admin-cidr=$(ADMIN_CIDR)) $(call given,PICTURES PRECISION MEGAPIXELS DECODE)

up: .venv/.operator ## Create the cluster, or mend and change it (ADMIN_CIDR=203.0.113.7/32)
	@$(FAB) up $(FLAGS) $(if $(ADMIN_CIDR),--admin-cidr=$(ADMIN_CIDR))

allow: .venv/.operator ## Let in the address that you have now, in seconds (ADMIN_CIDR=203.0.113.7/32)
	@$(FAB) allow $(FLAGS) $(if $(ADMIN_CIDR),--admin-cidr=$(ADMIN_CIDR))

bake: .venv/.operator ## Images with everything installed, for the next hosts of this cluster (CLEAN=1 deletes them)
	@$(FAB) bake $(FLAGS) $(if $(filter-out 0 no,$(CLEAN)),--clean) $(if $(ADMIN_CIDR),--admin-cidr=$(ADMIN_CIDR))

stop: .venv/.operator ## Stop the instances, their disks stay; spot workers are given back
	@$(FAB) stop $(FLAGS)

start: .venv/.operator ## Start them again, and verify the cluster
	@$(FAB) start $(FLAGS)

keep: .venv/.operator ## Put off for HOURS=2 whatever would end the cluster by itself
	@$(FAB) keep $(FLAGS) $(call given,HOURS)

scale: .venv/.operator ## Have WORKERS=n workers; those that go hand over first
	@$(FAB) scale $(FLAGS) --workers=$(WORKERS) $(if $(ADMIN_CIDR),--admin-cidr=$(ADMIN_CIDR))

credentials: .venv/.operator ## An access key for the bucket, in an AWS profile on this machine
	@$(FAB) credentials $(FLAGS)

down: .venv/.operator ## Save the logs and take the cluster away; bucket and images stay (PURGE=1 deletes them, YES=1 answers)
	@$(FAB) down $(FLAGS) $(if $(filter-out 0 no,$(PURGE)),--purge)

# What a person gives as make's variables reaches Fabric through the environment, whatever quotation marks are in it.
given = $(foreach name,$(1),$(if $(filter command,$(origin $(name))),--$(shell echo $(name) | tr A-Z a-z)="$$$(name)"))

upload: .venv/.operator ## Pictures to the bucket (DATA=folder)
	@$(FAB) upload $(FLAGS) $(call given,DATA)

run: .venv/.operator ## Run the job (SIZE=mini|class|apples|full ARGS='--variance 0.95' WEIGHTS=file RUN=name CSV=parts HEAL=no)
	@$(FAB) run $(FLAGS) $(call given,SIZE ARGS WEIGHTS RUN CSV HEAL)

submit: .venv/.operator ## Run a program of your own (JOB=my.py ARGS='…' REQUIREMENTS=requirements.txt FILES='…' NAME=name)
	@$(FAB) submit $(FLAGS) $(call given,JOB ARGS REQUIREMENTS FILES NAME HEAL)

follow: .venv/.operator ## Follow a run to its end (RUN=name; default: the latest; HEAL=no)
	@$(FAB) follow $(FLAGS) $(call given,RUN HEAL)

runs: .venv/.operator ## List the runs: state, pictures, time, cost
	@$(FAB) runs $(FLAGS)

stop-run: .venv/.operator ## End a run kindly; `make run RUN=name` goes on with it (RUN=name)
	@$(FAB) stop-run $(FLAGS) $(call given,RUN)

results: .venv/.operator ## Fetch a run's report, CSV, components and record (RUN=name FOLDER=results; JOB=name for one of your own)
	@$(FAB) results $(FLAGS) $(call given,RUN JOB FOLDER)

share: .venv/.operator ## A page of links that expire to a run's report, CSV, components, some pictures (RUN=name HOURS=24 FOLDER=results)
	@$(FAB) share $(FLAGS) $(call given,RUN HOURS FOLDER)

evidence: .venv/.operator ## A page for a jury, each line read from AWS at that moment (RUN=name FOLDER=results)
	@$(FAB) evidence $(FLAGS) $(call given,RUN FOLDER)

status: .venv/.operator ## Hosts, workers alive, runs, time and cost (JSON=1)
	@$(FAB) status $(FLAGS) $(if $(JSON),--json)

costs: .venv/.operator ## What every cluster of this account has cost, by month (JSON=1)
	@$(FAB) costs $(FLAGS) $(if $(JSON),--json)

ssh: .venv/.operator ## A shell on a host (HOST=worker-1; default: the master)
	@$(FAB) ssh $(FLAGS) $(call given,HOST)

jupyter: .venv/.operator ## JupyterLab through a tunnel, until Ctrl-C (PORT=8888)
	@$(FAB) jupyter $(FLAGS) $(call given,PORT)

notebooks: .venv/.operator ## The notebooks that people changed, into a folder, with no cluster, too (FOLDER=notebooks)
	@$(FAB) notebooks $(FLAGS) $(call given,FOLDER)

connect: .venv/.operator ## Spark Connect for your own editor, until Ctrl-C (PORT=15002)
	@$(FAB) connect $(FLAGS) $(call given,PORT)

ui: .venv/.operator ## The pages of Spark's master and of the jobs at work, until Ctrl-C (PORT=8080)
	@$(FAB) ui $(FLAGS) $(call given,PORT)

history: .venv/.operator ## The page of jobs that have ended, until Ctrl-C, with no cluster, too (RUN=name PORT=18080)
	@$(FAB) history $(FLAGS) $(call given,RUN PORT)

logs: .venv/.operator ## Every host's logs into a folder (FOLDER=logs)
	@$(FAB) logs $(FLAGS) $(call given,FOLDER)

SANDBOX = $(BIN)/python -m tests.sandbox
HOSTS ?= 3

rehearse: .venv/.dev ## All of it on this machine, plan to down, without an account (DATA=folder WEIGHTS=file; Linux, root)
	@$(SANDBOX) tools && $(SANDBOX) rehearse $(call given,DATA WEIGHTS)

chaos: .venv/.dev ## Runs there under faults that a seed draws, and nothing lost (SEED=7 SEEDS=10 DATA WEIGHTS; Linux, root)
	@$(SANDBOX) tools && $(SANDBOX) chaos $(call given,SEED SEEDS DATA WEIGHTS)

recording: .venv/.dev ## Record docs/rehearsal.cast anew: a rehearsal as text (asciinema)
	$(BIN)/asciinema rec --quiet --overwrite --idle-time-limit 2 --cols 110 --rows 40 --command '$(MAKE) --no-print-directory rehearse' docs/rehearsal.cast

sandbox-cloud: .venv/.dev ## Boot such a cloud and leave it up, for make's commands in another shell (Linux, root)
	@$(SANDBOX) tools && $(SANDBOX) cloud

sandbox-up: .venv/.dev ## Boot HOSTS=3 real Debian hosts on this machine, and no cloud (Linux, root)
	@$(SANDBOX) tools && $(SANDBOX) up --hosts $(HOSTS)

sandbox-down: .venv/.dev ## Stop whatever is up of them and leave nothing behind
	@$(SANDBOX) down
