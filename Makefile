# `make` lists the targets. Everything is installed into .venv, in the versions of constraints.txt.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

EXTRAS ?= dev,wandb,onnx
WORKERS ?= 2
DEVICE ?= auto
KITS19 ?= ../shared/kits19/data
REAL ?= ../shared
SYSTEMS ?= nephro_cascade faster_rcnn_vnet enet_two_stage scnet color_nephro_net inception_radiomics $(BASELINES)
BASELINES ?= unet pspnet scnet_ternary resnet50 svm gray_copy

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Label maps that no training has seen: KiTS19 cases 00120-00134 and 00141-00149.
HELD_OUT := 120-134,141-149

.PHONY: help install test test-slow lint format demo evaluate-phantom evaluate-real benchmark benchmark-full-size weights constraints clean

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

evaluate-phantom: $(STAMP) ## the README's figures: all systems and the papers' baselines on 20 synthetic cases around label maps kept out of training, and false tumors in 12 without one
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
	folder=out/evaluate-without-tumor; labels=(--labels "$(KITS19)" --only-cases $(HELD_OUT)); \
	if [ ! -d "$(KITS19)" ]; then labels=(); fi; \
	$(BIN)/nephro phantom --out $$folder/scans --cases 12 --kind none --seed 24 --workers $(WORKERS) $${labels[@]+"$${labels[@]}"}; \
	$(BIN)/nephro predict $$folder/scans --out $$folder/results --device $(DEVICE) || [ $$? -eq 1 ]; \
	$(BIN)/nephro evaluate $$folder/results --data $$folder/scans --out $$folder/evaluation || [ $$? -eq 1 ]

evaluate-real: $(STAMP) ## development figures on real CT: REAL=DIR holds real_ct/abdomen_3mm.nii.gz and kits19_slices/
	@for needed in real_ct/abdomen_3mm.nii.gz real_ct/abdomen_3mm_organs.nii.gz kits19_slices/images kits19_slices/masks; do \
	  test -e "$(REAL)/$$needed" || { echo "There is no $(REAL)/$$needed: REAL=DIR names the folder that holds the real data."; exit 2; }; \
	done
	$(BIN)/nephro predict "$(REAL)/real_ct/abdomen_3mm.nii.gz" --out out/evaluate-real/abdomen --device $(DEVICE) --overwrite
	$(BIN)/nephro evaluate out/evaluate-real/abdomen/abdomen_3mm --truth "$(REAL)/real_ct/abdomen_3mm_organs.nii.gz" --kidney-labels 2,3
	$(BIN)/nephro stack-slices "$(REAL)/kits19_slices/images" "$(REAL)/kits19_slices/masks" --out out/evaluate-real/stacks
	$(BIN)/nephro predict out/evaluate-real/stacks --out out/evaluate-real/slices --device $(DEVICE) --overwrite
	$(BIN)/nephro evaluate-slices out/evaluate-real/slices --data out/evaluate-real/stacks

# What is trained on the surroundings of the tumors of 632 patients.
ON_PATIENTS := renal_tumor_ct_classification_densenet renal_tumor_ct_classification_inception

weights: $(STAMP) ## make the weights that ship once more (days on a CPU; DEVICE=cuda where there is one)
	@test -d "$(KITS19)" || { echo "No label maps in $(KITS19): KITS19=DIR names the folder with KiTS19's case_*/segmentation.nii.gz."; exit 2; }
	labels=(--labels "$(KITS19)" --exclude-cases $(HELD_OUT) --tissues --workers $(WORKERS)); \
	procedural=(--tissues --workers $(WORKERS)); \
	tumors=(--field-of-view tumors --kind malignant --kind benign); \
	$(BIN)/nephro phantom --out runs/scans --cases 240 --seed 11 --shape 96 256 256 "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/scans --cases 140 --seed 12 --first-index 240 --shape 96 256 256 "$${procedural[@]}"; \
	$(BIN)/nephro phantom --out runs/scans --cases 140 --seed 13 --first-index 380 --shape 96 256 256 "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/kidneys --cases 300 --seed 141 --first-index 10000 --field-of-view kidneys "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/slices --cases 120 --seed 161 --first-index 40000 --shape 96 256 256 "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/anatomies --cases 240 --seed 151 --first-index 30000 --field-of-view kidneys --kind none --kind random "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/anatomies --cases 34 --seed 171 --first-index 50000 --field-of-view kidneys --kind malignant --kind benign --kind random "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/more_anatomies --cases 300 --seed 181 --first-index 60000 --field-of-view kidneys --kind none --kind random "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/whole_anatomies --cases 320 --seed 191 --first-index 70000 --shape 96 256 256 --kind none --kind random "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/tumors --cases 480 --seed 31 "$${tumors[@]}" "$${labels[@]}"; \
	$(BIN)/nephro phantom --out runs/tumors --cases 240 --seed 32 --first-index 480 "$${tumors[@]}" "$${procedural[@]}"; \
	$(BIN)/nephro phantom --out runs/patients --cases 632 --seed 131 "$${tumors[@]}" "$${labels[@]}"
	train() { out="$$1" bundle="$$2" data="$$3"; shift 3; \
	  resume=(); if [ -f "runs/$$out/checkpoints/last.ckpt" ]; then resume=(--resume); fi; \
	  $(BIN)/nephro train "$$bundle" --data "runs/$$data" --out "runs/$$out" --device $(DEVICE) "$$@" $${resume[@]+"$${resume[@]}"}; \
	}; \
	detector=kidney_ct_detection_faster_rcnn vnet=kidney_tumor_ct_segmentation_vnet; \
	train $$detector $$detector scans; $(BIN)/nephro install-weights runs/$$detector $$detector; \
	width8=(--set 'network_def#width=8'); \
	narrow=("$${width8[@]}" --set 'patch_size=[48,48,32]' --set 'patch_context=[68,68,44]' --set batch_size=4 --set patches_per_epoch=800); \
	train $$vnet $$vnet scans "$${narrow[@]}"; \
	colorizer=ct_colorization_cic; train $$colorizer $$colorizer tumors --set epochs=11; $(BIN)/nephro install-weights runs/$$colorizer $$colorizer; \
	for bundle in $(ON_PATIENTS); do train "$$bundle" "$$bundle" patients; $(BIN)/nephro install-weights "runs/$$bundle" "$$bundle"; done; \
	train vnet_kidneys $$vnet kidneys "$${narrow[@]}" --set flat_share=0.0 --init runs/$$vnet/model.pt --set learning_rate=0.0012 --set epochs=44; \
	synthetic=(--config synthetic.json "$${narrow[@]}" --set 'class_weights=[1.0,1.0,1.0]' --set 'loss#batch=true' --set 'loss#lambda_ce=1.0'); \
	train vnet_synthetic $$vnet anatomies "$${synthetic[@]}" --init runs/vnet_kidneys/model.pt --set flat_share=0.0 --set learning_rate=0.0012 --set epochs=32; \
	train vnet_flat $$vnet anatomies "$${synthetic[@]}" --init runs/vnet_synthetic/model.pt --set flat_share=0.3 --set learning_rate=0.0007 --set epochs=7; \
	train vnet_wide $$vnet whole_anatomies --config synthetic.json "$${width8[@]}" --init runs/vnet_flat/model.pt --set learning_rate=0.0015 --set epochs=27; \
	train vnet_wide_longer $$vnet whole_anatomies --config synthetic.json "$${width8[@]}" --init runs/vnet_wide/model.pt --set learning_rate=0.001 --set epochs=14; \
	if [ ! -d runs/all_anatomies ]; then rm -rf runs/all_anatomies.part; cp -al runs/whole_anatomies runs/all_anatomies.part; mv runs/all_anatomies.part runs/all_anatomies; fi; \
	$(BIN)/nephro phantom --out runs/all_anatomies --cases 40 --seed 292 --first-index 72000 --shape 96 256 256 --kind none --kind random "$${procedural[@]}"; \
	$(BIN)/nephro phantom --out runs/all_anatomies --cases 120 --seed 291 --first-index 71000 --shape 96 256 256 --kind none --kind random "$${labels[@]}"; \
	$(BIN)/python scripts/widen_weights.py runs/vnet_wide_longer/model.pt runs/vnet_wide_longer/width16.pt 16; \
	train vnet_16 $$vnet all_anatomies --config synthetic.json --init runs/vnet_wide_longer/width16.pt --set batch_size=32 --set patches_per_epoch=6400 --set epochs=9; \
	$(BIN)/nephro install-weights runs/vnet_16 $$vnet; \
	dense=renal_tumor_ct_classification_densenet; \
	train densenet_synthetic $$dense whole_anatomies --config synthetic.json --init runs/$$dense/model.pt --set 'slab_settings#slabs=4' --set batch_size=64 --set slices_per_epoch=6400 --set epochs=11; \
	$(BIN)/nephro install-weights runs/densenet_synthetic $$dense; \
	$(BIN)/python scripts/add_cyst_class.py runs/vnet_flat/model.pt runs/vnet_flat/with_cysts.pt; \
	coarse=(--config synthetic.json --config coarse.json --config coarse_training.json); \
	train vnet_coarse_even $$vnet more_anatomies "$${coarse[@]}" --set 'class_weights=[1.0,1.0,1.0,1.0]' --set 'loss#lambda_ce=1.0' --set 'loss#smooth_nr=3.0' --set 'loss#smooth_dr=3.0' --init runs/vnet_flat/with_cysts.pt --set learning_rate=0.0015 --set epochs=19; \
	train vnet_coarse $$vnet more_anatomies "$${coarse[@]}" --init runs/vnet_coarse_even/model.pt --set learning_rate=0.0015 --set epochs=18; \
	train vnet_coarse_longer $$vnet more_anatomies "$${coarse[@]}" --init runs/vnet_coarse/model.pt --set epochs=32; \
	train vnet_coarse_whole $$vnet whole_anatomies "$${coarse[@]}" --init runs/vnet_coarse_longer/model.pt --set learning_rate=0.0015 --set epochs=25; \
	train vnet_coarse_whole_longer $$vnet whole_anatomies "$${coarse[@]}" --init runs/vnet_coarse_whole/model.pt --set learning_rate=0.001 --set epochs=19; \
	$(BIN)/nephro install-weights runs/vnet_coarse_whole_longer $$vnet --name coarse.pt; \
	enet1=kidney_ct_segmentation_enet enet2=kidney_tumor_ct_segmentation_enet scnet=kidney_tumor_ct_segmentation_scnet; \
	train $$enet1 $$enet1 slices --set epochs=12; \
	train enet2_tversky $$enet2 anatomies --set cross_entropy=0.0 --set epochs=36; \
	train $$enet2 $$enet2 anatomies --init runs/enet2_tversky/model.pt --set epochs=24; \
	train $$scnet $$scnet anatomies --set epochs=17; \
	train enet1_synthetic $$enet1 all_anatomies --config synthetic.json --init runs/$$enet1/model.pt --set slices_per_case=4 --set epochs=4; \
	train enet2_synthetic $$enet2 all_anatomies --config synthetic.json --init runs/$$enet2/model.pt --set slices_per_case=4 --set epochs=16; \
	train scnet_synthetic $$scnet all_anatomies --config synthetic.json --init runs/$$scnet/model.pt --set 'slab_settings#slabs=4' --set learning_rate=0.0015 --set epochs=14; \
	$(BIN)/nephro install-weights runs/enet1_synthetic $$enet1; \
	$(BIN)/nephro install-weights runs/enet2_synthetic $$enet2; \
	$(BIN)/nephro install-weights runs/scnet_synthetic $$scnet; \
	baseline() { train "baseline_$$1" "$$2" "$$3" "$${@:4}"; $(BIN)/nephro install-weights "runs/baseline_$$1" "$$2" --name "$$1.pt"; }; \
	baseline unet $$scnet anatomies --config unet.json --set epochs=8; \
	baseline scnet_ternary $$scnet anatomies --config ternary_only.json --set epochs=6; \
	baseline resnet50 $$scnet anatomies --config resnet50.json --set epochs=5; \
	baseline pspnet $$scnet anatomies --config pspnet.json --set epochs=4; \
	train baseline_gray $$dense patients --config gray.json --init runs/$$dense/model.pt --set learning_rate=0.0004 --set slices_per_epoch=640 --set epochs=4; \
	$(BIN)/nephro install-weights runs/baseline_gray $$dense --name gray.pt; \
	train baseline_svm $$scnet anatomies --config svm.json; $(BIN)/nephro install-weights runs/baseline_svm $$scnet --name svm.pt --full; \
	patient=renal_tumor_ct_patient_classification; \
	train $$patient $$patient patients --set epochs=5; $(BIN)/nephro install-weights runs/$$patient $$patient; \
	train patient_gru $$patient patients --config gru.json --set epochs=4; \
	$(BIN)/nephro install-weights runs/patient_gru $$patient --name gru.pt

constraints: $(STAMP) ## resolve the newest versions into constraints.txt (for Python 3.11 and newer)
	echo uv | PATH="$(BIN):$$PATH" uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 --all-extras --strip-extras --no-annotate --no-header --no-emit-index-url pyproject.toml - | sed 's/ ;.*//' > constraints.new
	mv constraints.new constraints.txt

benchmark: $(STAMP) ## seconds and peak memory of one 512 x 512 x 100 scan
	$(BIN)/nephro phantom --out out/benchmark/scans --cases 1 --kind malignant --seed 3 --shape 100 512 512
	$(BIN)/nephro predict out/benchmark/scans --out out/benchmark/results --device $(DEVICE) --overwrite
	@grep -A12 -E '"(peak_memory_gib|seconds_per_stage)"' out/benchmark/results/run.json

benchmark-full-size: $(STAMP) ## the same for networks of the papers' widths, with random weights
	$(BIN)/nephro phantom --out out/benchmark/scans --cases 1 --kind malignant --seed 3 --shape 100 512 512
	options=$$($(BIN)/python scripts/random_weights.py full_size.json out/benchmark/weights); \
	$(BIN)/nephro predict out/benchmark/scans --out out/benchmark/full_size --device $(DEVICE) --overwrite $$options
	@grep -A12 -E '"(peak_memory_gib|seconds_per_stage)"' out/benchmark/full_size/run.json

clean: ## remove what was made (.venv too)
	rm -rf .venv out build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
