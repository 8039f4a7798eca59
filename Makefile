# make demo: a first look, the map of Iburi first.   make report: every table and figure of config.yaml in one page for a browser.
# make test: all tests but those of make test-deploy (conda, SLURM, a browser, QGIS).   make test-quick: two minutes of them.   make docs, make lint, make clean.
PYTHON ?= python3
BIN := .venv/bin
MAP := results/sites/iburi/map.html
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
# One thread a job, several jobs side by side: fastest for many small trainings.
export OMP_NUM_THREADS ?= 1
# A mirror folder beside the checkout is used where there is one; any other goes into HEADSCARP_MIRROR or config.yaml.
export HEADSCARP_MIRROR ?= $(abspath $(wildcard ../shared/mirror))
# So is a folder of data sets that cannot be downloaded.
export HEADSCARP_DATA ?= $(abspath $(wildcard ../shared/data))
# One process of tests a core; a file is run by one of them, in the order that tests/conftest.py gives.
SIDE_BY_SIDE := -n $(CORES) --dist loadfile --no-loadscope-reorder

# Snakemake that forks its jobs: a first look has many short ones.
WARM := $(BIN)/python workflow/warm_python.py

.PHONY: demo report test test-quick test-deploy docs lint clean
# Real ground first, then one headline exhibit of each paper (`deliver` of scale demo in the cards).
demo: .venv/installed
	$(WARM) --cores $(CORES) --config scale=demo -- $(MAP)
	@echo "The map of Iburi, for a browser: file://$(abspath $(MAP))"
	$(WARM) --cores $(CORES) --config scale=demo 'cards=[iburi2018, gao2021, zhang2024, xia2021, stfusion, xing2026]'

report: .venv/installed
	$(BIN)/snakemake --cores $(CORES) all results/provenance.html
	mkdir -p results/report
	$(BIN)/snakemake --report results/report/report.html -- all results/provenance.html

test: .venv/installed
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

test-quick: .venv/installed
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow" tests/unit

test-deploy: .venv/installed
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/deploy

# Pages for a browser with a search that needs no network: docs/site/index.html.
docs: .venv/installed
	$(BIN)/python -m pip install --quiet --editable ".[docs]"
	$(BIN)/python docs/build_site.py

lint: .venv/installed
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/snakefmt --check Snakefile workflow/rules

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

clean:
	rm -rf .venv .snakemake results/sites results/searches results/runs results/tables results/figures results/logs results/timings results/downloads results/report results/provenance.* results/index.html results/crate
