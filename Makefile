# Everything from a clone: `make` tells what there is. Needs python3 (3.11 or newer), make, and a package index.
PYTHON ?= python3
AIRFLOW := 3.3.2
OLDEST_AIRFLOW := 2.11.2

# Airflow starts three times as fast from byte-compiled modules, and nothing of the caller's Airflow should be used.
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

# How many processes the tests are spread over: more than two cores keep busy, since tests wait half of their time.
WORKERS ?= 4
PYTEST = pytest -n $(WORKERS) --dist loadgroup

# Airflow 2.11 does not run on Python 3.13: with that one, look for an older one beside it.
OLDEST_PYTHON = $(shell for python in $(PYTHON) python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$python && break; done)

.DELETE_ON_ERROR:
.PHONY: help install demo test test-events test-faults test-fidelity test-security test-durability test-mapped test-distributed test-load test-e2e screenshots test-matrix sessions fuzz audit docs lint ui bench dist sbom notes constraints clean

help: ## show this
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1 - \2/p' Makefile

install: $(E2E_INSTALLED) $(if $(OLDEST_PYTHON),$(OLDEST_INSTALLED)) ## make the virtual environments that all else works in

demo: $(INSTALLED) ## run the example DAGs against an emulated Toloka, and show what became of its projects
	@$(VENV)/bin/python demo/run.py

test: install ## run all tests, on both Airflow versions
	rm -f .coverage .coverage.*
	$(VENV)/bin/coverage run -m $(PYTEST)
ifneq ($(OLDEST_PYTHON),)
	@echo "The same on Airflow $(OLDEST_AIRFLOW), without what does not depend on Airflow:"
	$(OLDEST_VENV)/bin/coverage run -m $(PYTEST) --override-ini=testpaths= $(OLDEST_TESTS)
else
	@echo "Airflow $(OLDEST_AIRFLOW) was not tested: it needs Python 3.11 or 3.12, and there is none here."
endif
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

export TAG WRITE_TABLES

OLDEST_TESTS := $(addprefix tests/,test_assets.py test_example_dags.py test_lineage.py test_metrics.py test_task.py hooks integration links operators sensors triggers)

test-faults: $(INSTALLED) ## let every fault of the network and the service meet every component (WRITE_TABLES=1: and write the table of docs/)
	$(VENV)/bin/$(PYTEST) tests/faults

test-fidelity: $(INSTALLED) $(FIDELITY_INSTALLED) ## let Toloka's own client use the emulator, from an environment of its own
	FIDELITY_VENV=$(abspath $(FIDELITY_VENV)) $(VENV)/bin/python -m pytest tests/fidelity

test-events: $(INSTALLED) ## let a running Airflow start a DAG when a pool closes
	$(VENV)/bin/python -m pytest tests/events

# An interrupt lets the tests end what they have started.
DURABILITY = timeout --signal=INT --kill-after=60 900 $(VENV)/bin/python -m pytest

test-durability: $(INSTALLED) $(if $(OLDEST_PYTHON),$(OLDEST_INSTALLED)) ## kill all that can die of a running Airflow, on both versions: needs PostgreSQL
	$(DURABILITY) tests/durability/test_crashes.py

test-mapped: $(INSTALLED) ## two hundred mapped tasks at once on a running Airflow: needs PostgreSQL
	$(DURABILITY) tests/durability/test_mapped.py

test-distributed: $(DISTRIBUTED_INSTALLED) ## disturb an Airflow on Celery with several of each part: needs PostgreSQL, Redis and faketime (CASES=short: three cases)
	CASES=$(CASES) timeout --signal=INT --kill-after=60 1200 $(VENV)/bin/python -m pytest tests/distributed

test-security: $(INSTALLED) $(if $(OLDEST_PYTHON),$(OLDEST_INSTALLED)) ## look for the token in all that a running Airflow writes, for injections, and for errors that escape
	$(VENV)/bin/python -m pytest tests/security
ifneq ($(OLDEST_PYTHON),)
	@echo "The token on Airflow $(OLDEST_AIRFLOW):"
	$(OLDEST_VENV)/bin/python -m pytest tests/security/test_token.py
endif

INPUTS ?= 200000
SEED ?= 1
fuzz: $(INSTALLED) ## let the API answer anything: INPUTS=200000 times, or as often as you like
	$(VENV)/bin/python -m tests.security.fuzz $(INPUTS) $(SEED)

test-load: $(INSTALLED) ## let a real triggerer wait for 10,000 operations (MINUTES=10; WRITE_TABLES=1 writes benchmarks/LOAD.md)
	MINUTES=$(or $(MINUTES),10) WAITS=$(or $(WAITS),10000) $(VENV)/bin/python -m benchmarks.load

audit: ## ask PyPI for known weaknesses of what the package is tested with
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/python -m pip install --quiet --quiet pip-audit
	for constraints in constraints/airflow-$(AIRFLOW).txt constraints/airflow-$(OLDEST_AIRFLOW).txt; do \
		.venv-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement $$constraints || failed=1; \
	done; exit $${failed:-0}

test-e2e: $(E2E_INSTALLED) ## test Airflow's pages in a browser (some minutes; needs Chromium)
	$(VENV)/bin/python -m pytest tests/e2e

screenshots: $(E2E_INSTALLED) ## the same, and take the pictures of the docs anew
	$(VENV)/bin/python -m pytest tests/e2e --pictures docs/images

lint: $(E2E_INSTALLED) ## check style and types, and the workflows of .github/
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/basedpyright --pythonpath $(VENV)/bin/python
ifneq ($(wildcard .github),) # the source archive comes without it
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema custom.github-workflows-require-timeout .github/workflows/*.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	$(VENV)/bin/zizmor --offline --pedantic --quiet .github
endif

ui: $(INSTALLED) ## run Airflow with the example DAGs and an emulated Toloka, to be opened in a browser
	@$(VENV)/bin/python -m demo.ui

bench: $(INSTALLED) ## measure what it costs, and write benchmarks/RESULTS.md (some ten minutes)
	$(VENV)/bin/python -m benchmarks.run

docs: $(DOCS_INSTALLED) ## build the documentation in site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --clean

dist: $(INSTALLED) ## build the wheel and the source archive in dist/, and check them
	rm -rf dist
	$(VENV)/bin/python -m build
	$(VENV)/bin/twine check --strict dist/*

sbom: dist ## list the packages that the wheel brings on Airflow 3.3.2, as CycloneDX, in build/
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

notes: ## print what the changelog says of this version (TAG=v1.0.0: and fail unless it is ready to be released as that)
	@$(PYTHON) release.py "$$TAG"

# Interpreters of pyenv are found too, those included that it does not put into the path.
NOX = PATH="$$PATH$$(printf ':%s' "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.*/bin)" $(VENV)/bin/nox

# A session that is named fails where its Python is missing.
test-matrix: $(INSTALLED) dist ## test the wheel on each Airflow and each Python that there is (PAIRS=some: on few of them; SESSION=name: on one)
	rm -rf .nox
	-$(NOX) --no-stop-on-first-error $(if $(SESSION),--session $(SESSION),--no-error-on-missing-interpreters) \
		$(if $(filter some,$(PAIRS)),--tags some) --parallel 2 --allow-parallel --report .nox/report.json
	@$(VENV)/bin/python -m tests.matrix.report .nox/report.json

sessions: $(INSTALLED) ## print the names of the matrix's sessions, as JSON in the last line
	@$(NOX) --list --json | $(VENV)/bin/python -c 'import json, sys; print(json.dumps([one["session"] for one in json.load(sys.stdin)]))'

constraints: $(INSTALLED) ## write constraints/ anew, from what an index gives today
	$(call resolve,$(AIRFLOW),--group dev --group e2e --group distributed,apache-airflow==$(AIRFLOW))
	$(call resolve,$(OLDEST_AIRFLOW),--group dev --group e2e,apache-airflow==$(OLDEST_AIRFLOW))
	$(call resolve,lowest,--group matrix --resolution lowest-direct)
	@# Airflow 3.0 has its connection form from the provider fab, and fails with what FastAPI and Cadwyn are since.
	$(call resolve,3.0.6,--group matrix,apache-airflow==3.0.6 apache-airflow-providers-fab "fastapi[standard]<0.118" "cadwyn<6")
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

clean: ## remove all that make has made
	rm -rf .venv .venv-* .nox .demo .airflow .e2e build dist site .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
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

# toloka-kit does not import beside what its dependencies have become since.
$(FIDELITY_INSTALLED): $(INSTALLED)
	@echo "Installing toloka-kit into $(FIDELITY_VENV) (once)"
	@$(VENV)/bin/uv venv --quiet --clear --python 3.11 $(FIDELITY_VENV)
	@$(VENV)/bin/uv pip install --quiet --python $(FIDELITY_VENV)/bin/python \
		--exclude-newer 2024-07-10 toloka-kit==1.2.3 setuptools
	@touch $@

$(DOCS_INSTALLED): pyproject.toml constraints/docs.txt
	@echo "Installing what builds the documentation into .venv-docs"
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

# $(call packages,virtual environment,what to install): uv takes seconds; where it finds no index, pip does it
define packages
	@$(1)/bin/python -m pip install --quiet --quiet --upgrade pip uv
	@$(1)/bin/uv pip install --quiet --python $(1)/bin/python $(2) || $(1)/bin/python -m pip install --quiet $(2)
endef
