# Run `make` to list the targets. Needs python3 (3.11 or newer), make, and a package index.
PYTHON ?= python3
AIRFLOW := 3.3.2
OLDEST_AIRFLOW := 2.11.2

# Airflow starts three times as fast from byte-compiled modules. Do not use the caller's Airflow.
unexport PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME AIRFLOW_HOME AIRFLOW_CONFIG VIRTUAL_ENV

VENV := .venv
OLDEST_VENV := .venv-2.11
INSTALLED := $(VENV)/installed
E2E_INSTALLED := $(VENV)/installed-e2e
DISTRIBUTED_INSTALLED := $(VENV)/installed-distributed
OLDEST_INSTALLED := $(OLDEST_VENV)/installed
DOCS_INSTALLED := .venv-docs/installed
FIDELITY_VENV := .venv-fidelity
FIDELITY_INSTALLED := $(FIDELITY_VENV)/installed

# The number of test processes: more than two cores, because tests wait half of the time.
WORKERS ?= 4
PYTEST = pytest -n $(WORKERS) --dist loadgroup

# Airflow 2.11 does not run on Python 3.13: find an older Python as well.
OLDEST_PYTHON = $(shell for python in $(PYTHON) python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$python && break; done)

.DELETE_ON_ERROR:
.PHONY: help install demo test test-events test-faults test-fidelity test-security test-durability test-mapped test-distributed test-load test-e2e screenshots test-matrix sessions fuzz audit docs lint mutation ui bench dist sbom notes constraints clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1 - \2/p' Makefile

install: $(E2E_INSTALLED) $(if $(OLDEST_PYTHON),$(OLDEST_INSTALLED)) ## create the virtual environments

demo: $(INSTALLED) ## run the example DAGs against an emulated Toloka, and show its projects before and after
	@$(VENV)/bin/python demo/run.py

test: install ## run all tests on both Airflow versions
	rm -f .coverage .coverage.*
	$(VENV)/bin/coverage run -m $(PYTEST)
ifneq ($(OLDEST_PYTHON),)
	@echo "The tests that depend on Airflow, on Airflow $(OLDEST_AIRFLOW):"
	$(OLDEST_VENV)/bin/coverage run -m $(PYTEST) --override-ini=testpaths= $(OLDEST_TESTS)
else
	@echo "Airflow $(OLDEST_AIRFLOW) was not tested: it needs Python 3.11 or 3.12."
endif
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

export TAG WRITE_TABLES

OLDEST_TESTS := $(addprefix tests/,test_assets.py test_example_dags.py test_lineage.py test_metrics.py test_metrics_otel.py test_task.py hooks integration links operators sensors triggers)

test-faults: $(INSTALLED) ## inject every network and service fault into every component (WRITE_TABLES=1: also write the tables in docs/)
	$(VENV)/bin/$(PYTEST) tests/faults

test-fidelity: $(INSTALLED) $(FIDELITY_INSTALLED) ## run Toloka's own client against the emulator, in a separate environment
	FIDELITY_VENV=$(abspath $(FIDELITY_VENV)) $(VENV)/bin/python -m pytest tests/fidelity

test-events: $(INSTALLED) ## start a DAG on a running Airflow when a pool closes
	$(VENV)/bin/python -m pytest tests/events

# An interrupt lets the tests end their processes.
DURABILITY = timeout --signal=INT --kill-after=60 1400 $(VENV)/bin/python -m pytest

test-durability: $(INSTALLED) $(if $(OLDEST_PYTHON),$(OLDEST_INSTALLED)) ## kill every process of a running Airflow in turn, on both versions; needs PostgreSQL
	$(DURABILITY) tests/durability/test_crashes.py

test-mapped: $(INSTALLED) ## run 200 mapped tasks at once on a running Airflow; needs PostgreSQL
	$(DURABILITY) tests/durability/test_mapped.py

test-distributed: $(DISTRIBUTED_INSTALLED) ## disrupt an Airflow on Celery with several instances of each component; needs PostgreSQL, Redis and faketime (CASES=short: three cases)
	CASES=$(CASES) timeout --signal=INT --kill-after=60 1200 $(VENV)/bin/python -m pytest tests/distributed

test-security: $(INSTALLED) $(if $(OLDEST_PYTHON),$(OLDEST_INSTALLED)) ## search everything that a running Airflow writes for the token; test injections and unhandled errors
	$(VENV)/bin/python -m pytest tests/security
ifneq ($(OLDEST_PYTHON),)
	@echo "The token on Airflow $(OLDEST_AIRFLOW):"
	$(OLDEST_VENV)/bin/python -m pytest tests/security/test_token.py
endif

INPUTS ?= 200000
SEED ?= 1
fuzz: $(INSTALLED) ## run the client against random responses (INPUTS=200000)
	$(VENV)/bin/python -m tests.security.fuzz $(INPUTS) $(SEED)

test-load: $(INSTALLED) ## wait for 10,000 operations in a real triggerer, beside as many of Airflow's own triggers (MINUTES=10), then kill one of two triggerers; needs PostgreSQL (WRITE_TABLES=1 writes benchmarks/LOAD.md)
	MINUTES=$(or $(MINUTES),10) WAITS=$(or $(WAITS),10000) $(VENV)/bin/python -m benchmarks.load

audit: ## check the tested dependencies for known vulnerabilities
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/python -m pip install --quiet --quiet pip-audit
	for constraints in constraints/airflow-$(AIRFLOW).txt constraints/airflow-$(OLDEST_AIRFLOW).txt; do \
		.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement $$constraints || failed=1; \
	done; exit $${failed:-0}

test-e2e: $(E2E_INSTALLED) ## test Airflow's pages in a browser (some minutes; needs Chromium)
	$(VENV)/bin/python -m pytest tests/e2e

screenshots: $(E2E_INSTALLED) ## run test-e2e, and retake the screenshots of the docs
	$(VENV)/bin/python -m pytest tests/e2e --pictures docs/images

PART ?= archiving
mutation: $(INSTALLED) ## change the code in many small ways and see whether its tests fail (PART=archiving, polling, or a module such as client.retry; up to an hour each)
	$(VENV)/bin/python -m pip install --quiet --quiet --group mutation -c constraints/airflow-$(AIRFLOW).txt
	$(VENV)/bin/python -m mutmut run --max-children 24 "airflow_provider_toloka.$(PART).*"
	$(VENV)/bin/python -m benchmarks.mutation

lint: $(E2E_INSTALLED) ## check style, types, and the workflows of .github/
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/codespell *.md *.py Makefile docs airflow_provider_toloka benchmarks demo example_dags tests
	$(VENV)/bin/mypy
	$(VENV)/bin/basedpyright --pythonpath $(VENV)/bin/python
ifneq ($(wildcard .github),) # the source archive comes without it
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	$(VENV)/bin/zizmor --offline --pedantic --quiet .github
endif

ui: $(INSTALLED) ## run Airflow's UI with the example DAGs and an emulated Toloka
	@$(VENV)/bin/python -m demo.ui

bench: $(INSTALLED) $(FIDELITY_INSTALLED) ## run the benchmarks, and write benchmarks/RESULTS.md (about 25 minutes)
	FIDELITY_VENV=$(abspath $(FIDELITY_VENV)) $(VENV)/bin/python -m benchmarks.run

docs: $(DOCS_INSTALLED) ## build the documentation in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --clean

dist: $(INSTALLED) ## build and check the wheel and the source archive in dist/
	rm -rf dist
	$(VENV)/bin/python -m build
	$(VENV)/bin/twine check --strict dist/*

sbom: dist ## write a CycloneDX list of the wheel's dependencies on Airflow 3.3.2 to build/
	rm -rf .venv-sbom && mkdir -p build
	$(PYTHON) -m venv .venv-sbom/tool
	$(PYTHON) -m venv --without-pip .venv-sbom/wheel
	.venv-sbom/tool/bin/python -m pip install --quiet --quiet --upgrade pip
	.venv-sbom/tool/bin/python -m pip install --quiet --quiet --group sbom
	.venv-sbom/tool/bin/python -m pip --python .venv-sbom/wheel/bin/python install --quiet --quiet dist/*.whl \
		-c constraints/airflow-$(AIRFLOW).txt
	@# The tool reads no version that is dynamic.
	sed 's/^dynamic = \["version"\]$$/version = "$(VERSION)"/' pyproject.toml > .venv-sbom/pyproject.toml
	.venv-sbom/tool/bin/cyclonedx-py environment --pyproject .venv-sbom/pyproject.toml --mc-type library --output-reproducible \
		--output-file build/airflow_provider_toloka-$(VERSION).cdx.json .venv-sbom/wheel/bin/python

VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' airflow_provider_toloka/__init__.py)

notes: ## print this version's section of the changelog (TAG=v1.0.0: fail unless it is ready for release)
	@$(PYTHON) release.py "$$TAG"

# This also finds pyenv's interpreters that are not in the path.
NOX = PATH="$$PATH$$(printf ':%s' "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.*/bin)" $(VENV)/bin/nox

# A session given by name fails if its Python is missing.
test-matrix: $(INSTALLED) dist ## test the wheel on every Airflow and available Python (PAIRS=some: on a few; SESSION=name: on one)
	rm -rf .nox
	-$(NOX) --no-stop-on-first-error $(if $(SESSION),--session $(SESSION),--no-error-on-missing-interpreters) \
		$(if $(filter some,$(PAIRS)),--tags some) --parallel 2 --allow-parallel --report .nox/report.json
	@$(VENV)/bin/python -m tests.matrix.report .nox/report.json

sessions: $(INSTALLED) ## print the names of the matrix's sessions, as JSON in the last line
	@$(NOX) --list --json | $(VENV)/bin/python -c 'import json, sys; print(json.dumps([one["session"] for one in json.load(sys.stdin)]))'

constraints: $(INSTALLED) ## update constraints/ from the package index
	$(call resolve,$(AIRFLOW),--group dev --group e2e --group distributed --group mutation,apache-airflow==$(AIRFLOW))
	$(call resolve,$(OLDEST_AIRFLOW),--group dev --group e2e,apache-airflow==$(OLDEST_AIRFLOW))
	@# Airflow before 3.2 cannot make paths with universal-pathlib 0.3.
	$(call resolve,lowest,--group matrix --resolution lowest-direct,universal-pathlib==0.2.6)
	@# Airflow 3.0 has its connection form from the provider fab, and fails with what FastAPI and Cadwyn are since.
	$(call resolve,3.0.6,--group matrix,apache-airflow==3.0.6 universal-pathlib==0.2.6 apache-airflow-providers-fab "fastapi[standard]<0.118" "cadwyn<6")
	$(call resolve,3.1.8,--group matrix,apache-airflow==3.1.8)
	@# Airflow 3.2.2 does not start with what its dependencies have become since.
	$(call resolve,3.2.2,--group matrix --exclude-newer 2026-06-20 --exclude-newer-package \
		apache-airflow-providers-common-compat=2026-11-01,apache-airflow==3.2.2)
	@echo "Resolving docs"
	@$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate \
		--custom-compile-command 'make constraints' --group docs > constraints/docs.new
	@mv constraints/docs.new constraints/docs.txt

# $(call resolve,name of the file,options,requirements): for all supported Pythons at once, by markers
define resolve
	@echo "Resolving $(1)"
	@printf '%s\n' $(3) | $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --extra emulator $(2) \
		--no-emit-index-url --no-annotate --custom-compile-command 'make constraints' pyproject.toml - \
		> constraints/airflow-$(1).new
	@mv constraints/airflow-$(1).new constraints/airflow-$(1).txt
endef

clean: ## remove everything that make has created
	rm -rf .venv .venv-* .nox .demo .airflow .e2e build dist site mutants .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find airflow_provider_toloka tests example_dags demo -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): pyproject.toml constraints/airflow-$(AIRFLOW).txt
	$(call install,$(VENV),$(AIRFLOW),$(PYTHON))

$(E2E_INSTALLED): $(INSTALLED)
	@$(VENV)/bin/python -m pip install --quiet --quiet --group e2e -c constraints/airflow-$(AIRFLOW).txt
	@touch $@

$(DISTRIBUTED_INSTALLED): $(INSTALLED)
	@$(VENV)/bin/python -m pip install --quiet --quiet --group distributed -c constraints/airflow-$(AIRFLOW).txt
	@touch $@

$(OLDEST_INSTALLED): pyproject.toml constraints/airflow-$(OLDEST_AIRFLOW).txt
	$(call install,$(OLDEST_VENV),$(OLDEST_AIRFLOW),$(OLDEST_PYTHON))

# toloka-kit cannot be imported with current versions of its dependencies.
$(FIDELITY_INSTALLED): $(INSTALLED)
	@echo "Installing toloka-kit into $(FIDELITY_VENV) (once)"
	@$(VENV)/bin/uv venv --quiet --clear --python 3.11 $(FIDELITY_VENV)
	@$(VENV)/bin/uv pip install --quiet --python $(FIDELITY_VENV)/bin/python \
		--exclude-newer 2024-07-10 toloka-kit==1.2.3 setuptools
	@touch $@

$(DOCS_INSTALLED): pyproject.toml constraints/docs.txt
	@echo "Installing the documentation tools into .venv-docs"
	@$(PYTHON) -m venv --clear .venv-docs
	$(call packages,.venv-docs,--group docs -c constraints/docs.txt)
	@touch $@

# $(call install,virtual environment,Airflow version,interpreter)
define install
	@$(3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "This needs Python 3.11 or newer as $(3). Name another one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Installing Airflow $(2) and this package into $(1) (once)"
	@$(3) -m venv --clear $(1)
	$(call packages,$(1),--editable '.[emulator]' --group dev -c constraints/airflow-$(2).txt)
	@touch $@
endef

# $(call packages,virtual environment,what to install): uv takes seconds; without an index, fall back to pip
define packages
	@$(1)/bin/python -m pip install --quiet --quiet --upgrade pip uv
	@$(1)/bin/uv pip install --quiet --python $(1)/bin/python $(2) || $(1)/bin/python -m pip install --quiet $(2)
endef
