# `make demo` and `make test` do all their own set-up: they need Python 3.11+, pip and make. What is imported is compiled
# then (--no-compile, as uv does too): most of what torch installs never is. What is compiled is kept, whatever the
# environment says: a process of the tests would else take half a minute to start, each time.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
BIN := .venv/bin

# uv installs in a fourth of pip's time. It reads none of pip's settings: where pip is told of an index at another address,
# or of none at all, and where uv finds no way to one, pip installs.
PIP := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt
UV := ! $(BIN)/python -m pip config list | grep -qE 'index-url=.*https?:|no-index=' && $(PIP) uv && \
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt

.PHONY: demo test install lint types wheel docs tables notebooks bench bench-compare fuzz load clean

demo: install
	$(BIN)/foveate demo --out demo

# In which precision the tests compute (float32 or bf16, on any machine), with how many threads in each of two processes,
# and with which noise of one step of bf16 where a CNN answers (0: none): what a processor rounds decides no test.
PRECISION ?= float32
THREADS ?= 1
NOISE ?= 0

# Two processes of one thread each: two of torch's own threads gain little on networks as small as the tests', and wait for
# each other where anything else runs. A process that dies is a failure, and is not started again.
test: install
	FOVEATE_PRECISION=$(PRECISION) FOVEATE_TEST_NOISE=$(NOISE) OMP_NUM_THREADS=$(THREADS) \
		$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --max-worker-restart 0

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Foveate needs Python 3.11 or newer')"
	$(PYTHON) -m venv .venv
	($(UV) --editable '.[dev]') || $(PIP) --editable '.[dev]'
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports >/dev/null || $(BIN)/lint-imports

types: install
	$(BIN)/mypy

# The wheel, as a user gets it: built, installed into an environment of its own, imported, its help printed. The packages
# that it depends on are read from .venv; that all are declared is a test's business (tests/test_public.py).
wheel: install
	rm -rf build dist
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv --clear build/wheel
	build/wheel/bin/python -m pip install --quiet --no-deps --disable-pip-version-check dist/*.whl
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		>"$$(build/wheel/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/dependencies.pth"
	cd build && wheel/bin/python -c "import foveate; print('foveate', foveate.__version__, foveate.load.__name__, foveate.__file__)"
	cd build && wheel/bin/foveate --help

# The site, into site/: warnings are errors, and no page fetches anything from elsewhere. `make docs SERVE=1` shows it while you write.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs $(if $(SERVE),serve,build --strict --quiet)

# What is made from kept rows: the tables of the documents in docs/, the plots, and the pictures.
tables: install
	$(BIN)/python docs/rooms.py
	$(BIN)/python docs/figures.py
	$(BIN)/python docs/update.py
	$(BIN)/python benchmarks/document.py
	$(BIN)/python -m fuzz.document

# The tutorials as executed notebooks, on drawn birds; minutes. `make notebooks PAGE=why` for one.
notebooks: install
	$(PIP) --editable '.[notebooks]'
	$(BIN)/python docs/notebooks.py $(PAGE)

# One JSON line for each case, kept in benchmarks/results; `make bench BENCH="--only s3n_head"` for some.
bench: install
	$(BIN)/python benchmarks/suite.py $(BENCH)

# make bench-compare A=benchmarks/results/ONE.jsonl B=benchmarks/results/OTHER.jsonl
bench-compare: install
	$(BIN)/python benchmarks/compare.py $(A) $(B)

# Hostile input of every kind, and its counts into docs/robustness.md; `make fuzz FUZZ="--only pictures"` for some.
fuzz: install
	OMP_NUM_THREADS=1 $(BIN)/python -m fuzz $(FUZZ)

# A hundred clients at a time ask a server on this machine; the figures go into docs/robustness.md.
load: install
	$(BIN)/python -m fuzz.serving $(LOAD)

clean:
	rm -rf .venv build dist demo site
