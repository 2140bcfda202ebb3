# Two commands do everything on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# The tests' own server: apart from the demo's and from one that you run.
TEST_PORT ?= 8322
CHROMIUM  ?= chromium
APT       := apt-get -qq

.PHONY: demo test check audit package extras notebook lock docs browser format clean
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make demo    install, start a local vLLM, recommend for real users, stop it"
	@echo "make test    install, start a local vLLM, run every test, stop it"
	@echo "make browser Debian's chromium for tests/web, which are skipped without it; needs root"
	@echo "make check   format, lint and types"
	@echo "make audit   the service image's packages: hashes, known vulnerabilities, licences"
	@echo "make package the wheel and the sdist: built, installed in fresh environments, each light extra tried"
	@echo "make extras  the same for the heavy extras (torch, Ray, spaCy); minutes and gigabytes"
	@echo "make notebook docs/notebooks run anew against ZSREC_BASE_URL, with its outputs"
	@echo "make lock    docker/*.lock and .ci/audit.lock anew, with the newest versions"
	@echo "make docs    the documentation as a site, in site/; a broken link is an error"

# What `make demo` needs, and what everything else needs: each is ready when its file is newer than pyproject.toml.
$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "zsrec needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.ready: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/zsrec demo

test: $(VENV)/.ready
	.ci/test $(BIN) $(TEST_PORT)

# Never fails: without a browser the other tests are worth running. Only what needs the network has a time limit.
browser:
	@if command -v $(CHROMIUM) >/dev/null; then \
	  echo "chromium is there: tests/web will run"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && timeout 60 $(APT) update \
	  && timeout 120 $(APT) install --yes --no-install-recommends --download-only chromium \
	  && DEBIAN_FRONTEND=noninteractive $(APT) install --yes --no-install-recommends chromium >/dev/null; then \
	  echo "installed chromium: tests/web will run"; \
	else \
	  echo "*** NO BROWSER: chromium is not here and cannot be installed. tests/web WILL BE SKIPPED. ***" >&2; \
	fi

check: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The image's packages and the tools that look at them, each in an environment of its own, hash by hash.
LOCKED = $(BIN)/python -m venv --without-pip $(@D) && $(BIN)/python -m pip --python $(@D)/bin/python install \
	--quiet --no-compile --only-binary :all: --require-hashes --requirement

.venv-image/.ready: docker/requirements.lock | $(VENV)/.ready
	$(LOCKED) $<
	touch $@

.venv-audit/.ready: .ci/audit.lock | $(VENV)/.ready
	$(LOCKED) $<
	touch $@

audit: .venv-image/.ready .venv-audit/.ready
	$(BIN)/python .ci/audit.py .venv-audit/bin/pip-audit docker/requirements.lock
	.venv-audit/bin/pip-licenses --python .venv-image/bin/python  # the allow-list: pyproject.toml, tool.pip-licenses

package: $(VENV)/.ready
	$(BIN)/python .ci/package.py

# RecTools wants numpy 1 below Python 3.13 and LensKit wants numpy 2: an environment for each.
TEST_TOOLS := hypothesis pandas pytest pytest-timeout
.venv-rectools/.ready: pyproject.toml
	$(PYTHON) -m venv $(@D) && $(@D)/bin/python -m pip install --quiet --editable '.[frames,trained]' $(TEST_TOOLS)
	touch $@

.venv-lenskit/.ready: pyproject.toml
	$(PYTHON) -m venv $(@D) && $(@D)/bin/python -m pip install --quiet --editable '.[frames]' 'lenskit>=2025.8' implicit $(TEST_TOOLS)
	touch $@

extras: $(VENV)/.ready .venv-rectools/.ready .venv-lenskit/.ready
	$(BIN)/python .ci/package.py --heavy
	.venv-rectools/bin/python -m pytest tests/unit/recommender/test_rectools_model.py
	.venv-lenskit/bin/python -m pytest tests/unit/recommender/test_lenskit_scorer.py

notebook: $(VENV)/.ready
	$(BIN)/python .ci/notebook_page.py --run

UV_COMPILE = uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --annotation-style line

# Needs uv (pip install uv). No index stands in the files: whoever installs takes their own.
lock:
	cd docker && $(UV_COMPILE) ../pyproject.toml --extra serve --extra parquet --output-file requirements.lock
	cd docker && $(UV_COMPILE) build.in --output-file build.lock
	cd .ci && $(UV_COMPILE) audit.in --output-file audit.lock

docs: $(VENV)/.ready
	$(BIN)/python .ci/template_reference.py
	$(BIN)/python .ci/template_gallery.py
	$(BIN)/python .ci/notebook_page.py
	$(BIN)/zensical build --strict --config-file .mkdocs.yml
	$(BIN)/python .ci/site_search.py
	! grep -rE '(src="|url\(|<link[^>]*href=")(https?:)?//' site --include='*.html' --include='*.css'  # no other host

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .venv-image .venv-audit .venv-rectools .venv-lenskit dist build site .cache docs/reference/templates.md docs/gallery.md docs/notebook.md .pytest_cache .mypy_cache .ruff_cache .hypothesis
