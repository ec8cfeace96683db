# `make` lists the targets. Everything is installed into .venv, in the versions of constraints.txt.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

EXTRAS ?= dev,wandb,onnx
WORKERS ?= 2
DEVICE ?= auto
KITS19 ?= ../shared/kits19/data
SYSTEMS ?= nephro_cascade

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Label maps that no training has seen: KiTS19 cases 00120-00134 and 00141-00149.
HELD_OUT := 120-134,141-149

.PHONY: help install test test-slow lint format demo evaluate-phantom benchmark weights constraints clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' Makefile | while IFS='|' read -r target text; do printf '%-24s %s\n' "$$target" "$$text"; done

install: $(STAMP) ## build .venv (the other targets do so by themselves)

$(STAMP): pyproject.toml constraints.txt hatch_build.py scripts/install.sh
	@scripts/install.sh --editable --extras "$(EXTRAS)" $(VENV)
	@touch $@

lint: $(STAMP) ## check style, types and who imports whom
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

format: $(STAMP) ## rewrite the sources in the house style
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

test: lint ## lint, then the quick tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow and not gpu"

test-slow: $(STAMP) ## the slow tests (a fresh installation among them)
	$(BIN)/python -m pytest -q -m "slow and not gpu" --timeout 1800

demo: $(STAMP) ## three synthetic scans through the whole cascade, into out/demo
	rm -rf out/demo
	$(BIN)/nephro phantom --out out/demo/scans --cases 3 --kind malignant --kind benign --kind none --seed 1 --shape 80 320 320 --workers $(WORKERS)
	$(BIN)/nephro predict out/demo/scans --out out/demo/results --device $(DEVICE)
	$(BIN)/nephro evaluate out/demo/results --data out/demo/scans --out out/demo/evaluation

evaluate-phantom: $(STAMP) ## the README's figures: 20 synthetic cases around label maps kept out of training
	labels=(--labels "$(KITS19)" --only-cases $(HELD_OUT)); \
	if [ ! -d "$(KITS19)" ]; then labels=(); echo "No label maps in $(KITS19): the cases have procedural anatomy instead. KITS19=DIR names another folder."; fi; \
	$(BIN)/nephro phantom --out out/evaluate-phantom/scans --cases 20 --seed 20 --workers $(WORKERS) $${labels[@]+"$${labels[@]}"}
	for system in $(SYSTEMS); do \
	  chosen=(--system "$$system"); if [ "$$system" = nephro_cascade ]; then chosen=(); fi; \
	  folder="out/evaluate-phantom/$$system"; \
	  $(BIN)/nephro predict out/evaluate-phantom/scans --out "$$folder/results" --device $(DEVICE) $${chosen[@]+"$${chosen[@]}"} || [ $$? -eq 1 ]; \
	  $(BIN)/nephro evaluate "$$folder/results" --data out/evaluate-phantom/scans --out "$$folder/evaluation" || [ $$? -eq 1 ]; \
	done
	$(BIN)/nephro systems-table out/evaluate-phantom $(SYSTEMS:%=--system %)

# What each network is trained on: whole scans, the surroundings of kidneys, and two sets of surroundings of tumors.
ON_SCANS := kidney_ct_detection_faster_rcnn kidney_tumor_ct_segmentation_vnet
ON_TUMORS := ct_colorization_cic
ON_PATIENTS := renal_tumor_ct_classification_densenet renal_tumor_ct_classification_inception renal_tumor_ct_patient_classification

weights: $(STAMP) ## make the weights that ship once more (days on a CPU; DEVICE=cuda where there is one)
	@test -d "$(KITS19)" || { echo "No label maps in $(KITS19): KITS19=DIR names the folder with KiTS19's case_*/segmentation.nii.gz."; exit 2; }
	labels=(--labels "$(KITS19)" --exclude-cases $(HELD_OUT) --tissues --workers $(WORKERS)); \
	procedural=(--tissues --workers $(WORKERS)); \
	tumors=(--field-of-view tumors --kind malignant --kind benign); \
	$(BIN)/nephro phantom --out runs/scans --cases 240 --seed 11 --shape 96 256 256 "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/scans --cases 140 --seed 12 --first-index 240 --shape 96 256 256 "$${procedural[@]}"; \
	$(BIN)/nephro phantom --out runs/scans --cases 140 --seed 13 --first-index 380 --shape 96 256 256 "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/kidneys --cases 300 --seed 141 --first-index 10000 --field-of-view kidneys "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/tumors --cases 480 --seed 31 "$${tumors[@]}" "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/tumors --cases 240 --seed 32 --first-index 480 "$${tumors[@]}" "$${procedural[@]}"; \
	$(BIN)/nephro phantom --out runs/patients --cases 632 --seed 131 "$${tumors[@]}" "$${labels[@]}"
	train() { out="$$1" bundle="$$2" data="$$3"; shift 3; \
	  resume=(); if [ -f "runs/$$out/checkpoints/last.ckpt" ]; then resume=(--resume); fi; \
	  $(BIN)/nephro train "$$bundle" --data "runs/$$data" --out "runs/$$out" --device $(DEVICE) "$$@" $${resume[@]+"$${resume[@]}"}; \
	}; \
	for bundle in $(ON_SCANS); do train "$$bundle" "$$bundle" scans; $(BIN)/nephro install-weights "runs/$$bundle" "$$bundle"; done; \
	for bundle in $(ON_TUMORS); do train "$$bundle" "$$bundle" tumors; $(BIN)/nephro install-weights "runs/$$bundle" "$$bundle"; done; \
	for bundle in $(ON_PATIENTS); do train "$$bundle" "$$bundle" patients; $(BIN)/nephro install-weights "runs/$$bundle" "$$bundle"; done; \
	vnet=kidney_tumor_ct_segmentation_vnet; \
	train vnet_kidneys $$vnet kidneys --set initial_weights="$(CURDIR)/runs/$$vnet/model.pt" --set learning_rate=0.0012 --set epochs=44; \
	$(BIN)/nephro install-weights runs/vnet_kidneys $$vnet; \
	gru=renal_tumor_ct_patient_classification; \
	train patient_gru $$gru patients --config gru.json; \
	$(BIN)/nephro install-weights runs/patient_gru $$gru --name gru.pt

constraints: $(STAMP) ## resolve the newest versions into constraints.txt (for Python 3.11 and newer)
	echo uv | PATH="$(BIN):$$PATH" uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 --all-extras --strip-extras --no-annotate --no-header --no-emit-index-url pyproject.toml - | sed 's/ ;.*//' > constraints.new
	mv constraints.new constraints.txt

benchmark: $(STAMP) ## seconds and peak memory of one 512 x 512 x 100 scan
	$(BIN)/nephro phantom --out out/benchmark/scans --cases 1 --kind malignant --seed 3 --shape 100 512 512
	$(BIN)/nephro predict out/benchmark/scans --out out/benchmark/results --device $(DEVICE) --overwrite
	@grep -A12 -E '"(peak_memory_gib|seconds_per_stage)"' out/benchmark/results/run.json

clean: ## remove what was made (.venv too)
	rm -rf .venv out build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
