# The verbs of this project; `make help` lists them. They need make, git and Python 3.11 or newer with pip or ensurepip,
# and set up .venv themselves, once for each lock file. `make PYTHON=...` names another interpreter.

.PHONY: help demo install test check format build lock clean empty-venv
.DEFAULT_GOAL := help
.NOTPARALLEL:
.SUFFIXES:

IS_NEW_ENOUGH = -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13 python3.14; do \
	if $$python $(IS_NEW_ENOUGH); then echo $$python; break; fi; done)
PYTEST = .venv/bin/pytest -q -n auto --maxprocesses 4 -m "not ci_only"

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s%s\n", $$1, $$2 }' Makefile

demo: .venv/demo ## see an incident handled from start to end; ARGS="..." is handed on
	@.venv/bin/resolute demo $(ARGS)

install: .venv/check ## set up .venv with every tool and extra

test: .venv/test ## run the tests: the unit floor first, then the rest
	$(PYTEST) tests/unit
	$(PYTEST) tests --ignore=tests/unit

check: .venv/check ## lint, formatting, types, lock files
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	! grep -n '://' *.lock
	.venv/bin/python -m pip check

format: .venv/check ## sort the imports and format the code
	.venv/bin/ruff check --select I --fix --quiet
	.venv/bin/ruff format

build: .venv/demo ## build the wheel and the source archive into dist/
	.venv/bin/python -m hatchling build

# The smaller locks follow the largest one, so that a package has the same version in all three.
COMPILE = uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate $(ARGS)

lock: ## write the lock files anew (needs uv); ARGS=--upgrade takes the newest versions
	$(COMPILE) --all-extras --group build --group dev -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock --extra server --extra postgres --group build --group test -o requirements-test.lock
	$(COMPILE) -c requirements-dev.lock --extra server --group build -o requirements.lock

clean: ## remove .venv, dist and every cache
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

# Set-up. A stamp such as .venv/test says that .venv holds its lock file; the larger lock files hold the smaller ones.
# Where the interpreter is missing or was removed, .venv is made anew and no stamp counts.

.venv/demo .venv/test .venv/check: pyproject.toml $(shell test -x .venv/bin/python || echo empty-venv)

.venv/demo: requirements.lock
	$(call set_up,requirements.lock,10)
	@touch .venv/demo

.venv/test: requirements-test.lock
	$(call set_up,requirements-test.lock,15)
	@touch .venv/demo .venv/test

.venv/check: requirements-dev.lock
	$(call set_up,requirements-dev.lock,30)
	@touch .venv/demo .venv/test .venv/check

empty-venv:
	@python='$(or $(PYTHON),python3)'; \
	"$$python" $(IS_NEW_ENOUGH) || { \
		echo "Resolute needs Python 3.11 or newer; $$python says: $$("$$python" --version 2>&1)." >&2; \
		echo 'Install one, or name one: make PYTHON=/path/to/python3.12' >&2; exit 1; }; \
	{ "$$python" -m venv -h && { command -v uv || "$$python" -m pip -V || "$$python" -m ensurepip --version; }; } \
	>/dev/null 2>&1 || { \
		echo "$$python has neither pip nor ensurepip, so nothing can be installed. On Debian and Ubuntu this helps:" >&2; \
		"$$python" -c 'import sys; print("  apt-get install -y python%d.%d-venv" % sys.version_info[:2])' >&2; exit 1; }; \
	rm -rf .venv && "$$python" -m venv --without-pip .venv

# uv reads none of pip's settings: where it fails, pip may still work. pip is used from outside .venv, so that a Python
# without ensurepip will do, also where its settings say `user = true`; where only ensurepip has it, it goes into .venv.
define set_up
	@echo 'setting up .venv for `make $(@F)` (once, about $(2) s) ...'
	@python='$(PYTHON)'; venv=.venv/bin/python; export PIP_USER=0; \
	install() { "$$@" --require-hashes -r $(1) && "$$@" --no-deps --no-build-isolation -e .; }; \
	{ \
		if command -v uv && install uv pip install --python $$venv; then :; \
		elif "$$python" -m pip --python $$venv -V; then install "$$python" -m pip --python $$venv install; \
		else $$venv -m ensurepip && install $$venv -m pip install; fi; \
	} >.venv/setup.log 2>&1 || { \
		tail -n 20 .venv/setup.log >&2; \
		echo 'Setting up .venv failed: above is the end of .venv/setup.log. Mend the cause and repeat.' >&2; exit 1; }
endef
