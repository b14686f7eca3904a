# All set-up is done by the targets themselves, once: `make lab` and `make test` are enough.
PYTHON ?= python3
BIN := .venv/bin
.PHONY: lab test course setup lint clean

# Defaults of the course: no question about news, and no look for newer versions
LAB_OPTIONS := --LabApp.app_settings_dir=$(CURDIR)/tools/jupyterlab

lab: setup  ## open JupyterLab on the tour
	$(BIN)/jupyter lab $(LAB_OPTIONS) $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_tour.ipynb

test: setup  ## library tests and all notebooks, on the tiny preset, in two processes
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

course: setup  ## run all notebooks in order and build the site in build/
	$(BIN)/python docs/run_course.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify notebooks/*.ipynb $(wildcard notebooks/solutions/*.ipynb)

setup: .venv/ready

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo 'Python 3.10 or newer is needed; name one: make PYTHON=python3.12'; exit 1; }
	@command -v cc >/dev/null || \
		{ echo 'a C compiler (cc) is needed: pysteps is compiled; or use conda with environment.yml'; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

clean:  ## remove the environment and the pages; data and runs stay
	rm -rf .venv build *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +
