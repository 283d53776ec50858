# Each target does its own set-up: nothing is needed before but Python 3.11 or newer, make and git.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CORES ?= 2
NNUNET := .venv-nnunet

.PHONY: demo test test-real test-envs test-slow test-phases test-nnunet test-slurm faults fuzz same-bytes lint bench bench-scale check-model check-lesion-model check-region-model study-contrast study-rootlets check-rootlets-model study-sciseg study-scsnet study-ablation clean lock

# The locked packages with their hashes; then torch, whose CPU and CUDA builds share one version but
# not one hash, and which pins its own CUDA packages exactly where its build needs them.
$(READY): requirements.lock requirements-torch.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cordcohort needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet -r requirements-torch.lock
	echo "$(CURDIR)/workflow/lib" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/cordcohort-checkout.pth"
	printf '#!/bin/sh\nexec "%s" -m cordcohort "$$@"\n' "$(CURDIR)/$(BIN)/python" > $(BIN)/cordcohort
	chmod +x $(BIN)/cordcohort
	touch $@

# nnU-Net v2 in an environment of its own: the packages of $(VENV), linked, and what it adds to them.
# Its lock is resolved beside the other one and holds no package of it, so nothing is there twice.
$(NNUNET)/.ready: $(READY) requirements-nnunet.lock
	rm -rf $(NNUNET)
	$(BIN)/python -m venv $(NNUNET)
	$(NNUNET)/bin/python envs/link.py $(BIN)/python
	$(NNUNET)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements-nnunet.lock
	touch $@

demo: $(READY)
	$(BIN)/python -m cordcohort demo demo --cores $(CORES)

# Soft against hard targets over six contrasts, on phantoms: about 10 CPU minutes; it resumes.
study-ablation: $(READY)
	$(BIN)/python tests/experiments/soft_against_hard.py ablation

# Then the examples of the docstrings; those of nnU-Net want its environment.
test: $(READY)
	$(BIN)/python -m pytest -n $(CORES) --dist loadgroup -m "not slow"
	$(BIN)/python -m pytest -q --doctest-modules workflow/lib/cordcohort --ignore-glob="*/nnunet/*"

test-real: $(READY)
	$(BIN)/python -m pytest tests/end_to_end tests/reference

test-envs: $(READY)
	$(BIN)/python -m pytest -m "slow or not slow" tests/workflow/test_rule_environments.py tests/workflow/test_environments.py

# An experiment of three phases and two seeds from the data to the long table, in miniature.
test-phases: $(READY)
	$(BIN)/python -m pytest -m "slow or not slow" tests/unit/experiments tests/workflow/test_experiment.py

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

# A real nnU-Net v2 model, trained for a moment on the phantom, as a study and as a published folder.
test-nnunet: $(NNUNET)/.ready
	$(NNUNET)/bin/python -m pytest -m "slow or not slow" tests/nnunet

# Faults put into runs (root, for full and read-only disks); cases that are done are not repeated.
FAULTS ?= results/faults
faults: $(READY)
	PYTHONPATH=workflow/lib $(BIN)/python tests/faults/run_faults.py --out $(FAULTS) --jobs $(CORES)

# The same bytes twice; what two threads change.
same-bytes: $(READY)
	PYTHONPATH=workflow/lib $(BIN)/python tests/faults/same_bytes.py --out $(FAULTS)/same-bytes

fuzz: $(READY)
	PYTHONPATH=workflow/lib $(BIN)/python tests/fuzz/run_fuzz.py

# A real SLURM on this machine (root, apt); where it cannot be installed this fails and says so. CI
# leaves out what takes minutes (SLURM_TESTS="not slow"): the demo study, an array of 101, outages.
SLURM_TESTS ?= slow or not slow
test-slurm: $(READY)
	CORDCOHORT_TEST_SLURM=1 $(BIN)/python -m pytest -m "$(SLURM_TESTS)" tests/cluster

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/codespell
	$(BIN)/python -m pytest -q tests/workflow/test_lint.py

bench: $(READY)
	for b in tests/benchmarks/bench_*.py; do $(BIN)/python $$b; done

bench-scale: $(READY)
	$(BIN)/python tests/benchmarks/bench_scale.py --sizes 100 1000 10000

# What a cord model does on phantoms: six contrasts, damage, unseen vendor and contrast, off centre.
MODEL ?= cord-v1
check-model: $(READY)
	$(BIN)/python tests/benchmarks/check_model.py --model $(MODEL)

# What the model of the eight regions does on 42 phantom patients; ATLAS, UPPER and LOWER (models of
# recipes scsnet-levels-*) add held-out levels of an atlas, REAL a real diffusion series. Slow.
REGION_MODEL ?= scsnet-v1
check-region-model: $(READY)
	$(BIN)/python tests/benchmarks/check_region_model.py --model $(REGION_MODEL) \
	    $(if $(ATLAS),--atlas $(ATLAS) --upper $(UPPER) --lower $(LOWER)) $(if $(REAL),--real $(REAL))

# What the lesion model does on held-out phantom patients and people without lesions (slow); with
# REAL=FOLDER also on the healthy scans of a folder of BIDS datasets.
LESION_MODEL ?= sciseg-v1
check-lesion-model: $(READY)
	$(BIN)/python tests/benchmarks/check_lesion_model.py --model $(LESION_MODEL) $(if $(REAL),--real $(REAL))

# The published multi-contrast study on its phantom cohort (config/studies/contrast-agnostic.yaml).
STUDY ?= contrast-agnostic
study-contrast: $(READY)
	$(BIN)/python -m cordcohort init $(STUDY) --study contrast-agnostic
	$(BIN)/python -m cordcohort run $(STUDY) --cores $(CORES)

# Cord and lesion, biomarkers and clinical scores on a phantom cohort (config/studies/sciseg.yaml).
SCISEG ?= sciseg
study-sciseg: $(READY)
	$(BIN)/python -m cordcohort init $(SCISEG) --study sciseg
	$(BIN)/python -m cordcohort run $(SCISEG) --cores $(CORES)
# Spinal levels over sites, sessions, voxel sizes and raters, on phantoms (config/studies/rootlets.yaml).
ROOTLETS ?= rootlets
study-rootlets: $(READY)
	$(BIN)/python -m cordcohort init $(ROOTLETS) --study rootlets
	$(BIN)/python -m cordcohort run $(ROOTLETS) --cores $(CORES)

# What the rootlet model reaches: from the study's tables, and on a real template where there is one.
check-rootlets-model: $(READY)
	PYTHONPATH=workflow/lib $(BIN)/python tests/benchmarks/check_rootlets.py --study $(ROOTLETS)

# The published study of eight cord regions on diffusion phantoms (config/studies/scsnet.yaml).
SCSNET ?= scsnet
study-scsnet: $(READY)
	$(BIN)/python -m cordcohort init $(SCSNET) --study scsnet
	$(BIN)/python -m cordcohort run $(SCSNET) --cores $(CORES)

# Resolve the lock anew from its direct pins (needs uv).
lock: $(READY)
	$(BIN)/python envs/lock.py

clean:
	rm -rf $(VENV) $(NNUNET) demo results/*/ .snakemake
