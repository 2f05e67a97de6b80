# Everything a fresh machine needs: Python 3.11 or later, git, make. `make help` lists the targets.

PYTHON   ?= $(shell command -v python3.11 || command -v python3)
VENV     := .venv
BIN      := $(VENV)/bin
MOORWATCH := $(BIN)/moorwatch
PIP      := $(BIN)/python -m pip --disable-pip-version-check --quiet
# DETACH=1 runs `make up` in the background, SYSTEM=skip leaves the machine's packages alone.
DETACH   ?=
SYSTEM   ?=

.DEFAULT_GOAL := help
.PHONY: help venv venv-dev system system-tests up down prometheus test check drawing format lock bench-replace bench-services bench-scheduler bench-otlp bench-exporter bench-series bench-cloudwatch bench-alarms bench-logs soak clean

help:
	@echo 'make up             set up and run Moorwatch until Ctrl-C (DETACH=1: in the background)'
	@echo 'make down           stop what `make up` started'
	@echo 'make prometheus     run Prometheus and Alertmanager with our rules until Ctrl-C'
	@echo 'make test           set up, check and run every test'
	@echo 'make drawing        install and bundle the page that draws boards (the tests do it by themselves)'
	@echo 'make check          format, lint, types and import contracts'
	@echo 'make format         rewrite the sources in the house format'
	@echo 'make lock           resolve the dependencies again into requirements*.lock'
	@echo 'make bench-replace  measure how fast a killed container is replaced'
	@echo 'make bench-exporter measure sampling, scrapes and rendering beside floor and peers'
	@echo 'make bench-services measure starts, rolling updates and the loss of a host'
	@echo 'make bench-scheduler measure placing, reconciling, memory and the API'
	@echo 'make bench-alarms   measure how long thousands of alarms take to be judged'
	@echo 'make bench-series   measure the metric store beside DuckDB and VictoriaMetrics'
	@echo 'make bench-cloudwatch measure PutMetricData and GetMetricData beside VictoriaMetrics'
	@echo 'make bench-logs     measure the log store beside a plain file'
	@echo 'make bench-otlp bench-exporter     measure rounds of metrics and spans by OTLP'
	@echo 'make soak       simulate on: SEED=n is where to begin, HOURS=h how long'
	@echo 'make clean          remove the virtual environment and caches'

# -- the virtual environment: a stamp per lock file, so that a second run costs nothing ----------------

$(BIN)/python:
	@sh deploy/system.sh --venv '$(PYTHON)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python requirements.lock pyproject.toml
	@echo 'installing the locked dependencies into $(VENV)'
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-build-isolation --no-deps --no-index --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo 'installing the locked development tools into $(VENV)'
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

venv: $(VENV)/.installed
venv-dev: $(VENV)/.installed-dev

# -- the machine ---------------------------------------------------------------------------------------

system:
ifneq ($(SYSTEM),skip)
	@sh deploy/system.sh || { echo 'The parts above are missing. `make up SYSTEM=skip` goes on without them.' >&2; exit 1; }
endif

# A test that lacks its part is skipped with its reason; so a machine we cannot prepare is no error here.
system-tests:
ifneq ($(SYSTEM),skip)
	@sh deploy/system.sh --tests || echo 'going on without them: the tests that need them will be skipped'
endif

# -- the main job --------------------------------------------------------------------------------------

up: system venv
	@$(MOORWATCH) up $(if $(DETACH),--detach)

down: venv
	@$(MOORWATCH) down

# Prometheus with our rules and Alertmanager beside it, until Ctrl-C.
prometheus:
	@sh deploy/system.sh --prometheus
	@exec sh deploy/prometheus/run.sh

# -- quality -------------------------------------------------------------------------------------------

check: venv-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Tests on real Docker and Prometheus mostly wait; the others run beside them.
WORKERS ?= 2

test: system-tests check
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadscope $(PYTEST_ARGS)

drawing: system-tests venv-dev
	$(BIN)/python -m dashboards.drawing.build

bench-replace: system venv-dev
	$(BIN)/python -m tests.performance.bench_replace

bench-scheduler: venv-dev
	$(BIN)/python -m tests.performance.bench_scheduler

bench-alarms: venv-dev
	@$(BIN)/python -m tests.performance.bench_alarms

bench-series: system-tests venv-dev
	@$(PIP) install 'duckdb>=1.1,<3' 'numpy>=1.26,<3'
	$(BIN)/python -m tests.performance.bench_series

bench-cloudwatch: system-tests venv-dev
	$(BIN)/python -m tests.performance.bench_cloudwatch

bench-logs: venv-dev
	$(BIN)/python -m tests.performance.bench_logs

bench-otlp: venv-dev
	$(BIN)/python -m tests.performance.bench_otlp

SEED  ?= 1000
HOURS ?= 500
soak: venv-dev
	$(BIN)/python -m tests.simulation --seed $(SEED) --hours $(HOURS)

bench-exporter: system venv-dev
	$(BIN)/python -m tests.performance.bench_exporter

bench-services: system venv-dev
	$(BIN)/python -m tests.performance.bench_services

lock: venv
	@test -x $(BIN)/uv || $(PIP) install uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	  pyproject.toml deploy/build.in --output-file requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
	  --extra dev --constraint requirements.lock \
	  pyproject.toml deploy/build.in --output-file requirements-dev.lock

clean:
	rm -rf dashboards/drawing/node_modules dashboards/drawing/build
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
