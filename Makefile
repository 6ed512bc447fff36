# Every way to build, run and check Allezon. `make` alone lists them.

CARGO ?= cargo
ADDRESS ?= 127.0.0.1:8080
DATA ?= ./data
# A few minutes of logical time: 10 s of wall time each at 20 times the shop's rate.
DEMO_DURATION ?= 6m
DEMO_WARP ?= 5
# Which overlay of knative/ and eventing/ is rendered, and by what.
OVERLAY ?= production
KUSTOMIZE ?= kubectl kustomize
# Where the trees knative/ and eventing/ are.
FROM ?= .

# librdkafka is built with CMake; where there is none, one is put beside what is built.
WITH_CMAKE = $(shell ./.ci/tools cmake=cmake)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## build and start Allezon on 127.0.0.1:8080 with its data in ./data
	$(CARGO) build --release --locked -p embedded
	target/release/allezon --listen $(ADDRESS) --data $(DATA)

# What runs as a process of its own on a cluster, and `local`, which runs them here.
PROGRAMS = local replay user-tags user-profiles aggregates explore staff-console dead-letters profile-worker aggregate-worker sealer id-service deliverer

.PHONY: local
local: ## build and start Kafka and every function as a process of its own (wants ALLEZON_AEROSPIKE=HOST:PORT, Java, Maven)
	PATH="$(WITH_CMAKE):$$PATH" $(CARGO) build --profile local --locked $(addprefix -p ,$(PROGRAMS))
	target/local/local --listen $(ADDRESS) --data $(DATA)/local

.PHONY: chaos
chaos: ## kill, stop and cut off the parts of a cluster under load (some 15 minutes; wants ALLEZON_AEROSPIKE_SERVER, Java, Maven)
	PATH="$(WITH_CMAKE):$$PATH" $(CARGO) build --profile local --locked $(addprefix -p ,$(PROGRAMS))
	ALLEZON_PROGRAMS="$(CURDIR)/target/local" $(CARGO) test --locked -p local --test chaos -- --nocapture

.PHONY: demo
demo: ## start Allezon on a fresh directory, score it over some minutes of logical time, show the result
	$(CARGO) build --release --locked -p embedded -p simulator
	./functions/embedded/demo $(DEMO_DURATION) $(DEMO_WARP)

.PHONY: test
test: ## run all tests, with a real Kafka (Java 17 and Maven; without them those suites are skipped by name)
	PATH="$(WITH_CMAKE):$$PATH" $(CARGO) test --workspace --locked --features embedded/kafka

.PHONY: console-test
console-test: ## walk the console in a headless Chromium, with the debug build of allezon (WALK= its options; skipped without chromium)
	$(CARGO) build --locked -p embedded
	./functions/console/tests/browser/run $(WALK)

.PHONY: test-cluster
test-cluster: ## try the functions on the cluster that KUBECONFIG names, in a namespace of its own (cluster/suite/run --help; SUITE= its options)
	./cluster/suite/run $(SUITE)

.PHONY: lint
lint: ## check formatting, lints, docs, arrows, licences, and that allezon needs nothing of a cluster
	$(CARGO) fmt --all --check
	PATH="$(WITH_CMAKE):$$PATH" $(CARGO) clippy --workspace --all-targets --features embedded/kafka --locked -- -D warnings
	PATH="$(WITH_CMAKE):$$PATH" RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	$(CARGO) check --locked -p embedded
	./.ci/arrows
	@if command -v cargo-deny >/dev/null || [ -n "$$CI" ]; then $(CARGO) deny --all-features --log-level error check bans licenses sources; \
	else echo "lint: skipped deny.toml: cargo-deny is not installed (cargo install cargo-deny --locked)"; fi

.PHONY: images
images: ## build an image of each program with docker, podman or buildah; REGISTRY= pushes them and pins them in OVERLAY (IMAGES= for some)
	./functions/images $(if $(REGISTRY),--registry $(REGISTRY) --overlay $(OVERLAY)) $(IMAGES)

.PHONY: manifests
manifests: ## render all overlays of knative/ and eventing/, check them, and check the checks (wants Go or kubectl)
	./.ci/manifests
	./.ci/manifests self-test

.PHONY: render
render: ## write the manifests of OVERLAY (production), one object a file, to target/render
	rm -rf target/render/$(OVERLAY)
	mkdir -p target/render/$(OVERLAY)/knative target/render/$(OVERLAY)/eventing
	$(KUSTOMIZE) $(FROM)/knative/overlays/$(OVERLAY) -o target/render/$(OVERLAY)/knative
	test ! -d $(FROM)/eventing/overlays/$(OVERLAY) || $(KUSTOMIZE) $(FROM)/eventing/overlays/$(OVERLAY) -o target/render/$(OVERLAY)/eventing

.PHONY: advisories
advisories: ## check dependencies against the RustSec database (wants cargo-deny and the internet)
	$(CARGO) deny --all-features check advisories

.PHONY: fmt
fmt: ## format the code
	$(CARGO) fmt --all

.PHONY: bench
bench: ## measure everything that docs/benchmarks.md tells (about 35 minutes; wants wrk, chdb for ClickHouse, ALLEZON_AEROSPIKE_SERVER)
	./docs/bench

.PHONY: fuzz
fuzz: ## fuzz the decoder of blocks and chunks for 60 s (wants cargo-fuzz and a nightly toolchain)
	cd functions/shared/columns && $(CARGO) +nightly fuzz run decode -- -max_total_time=60

.PHONY: clean
clean: ## delete what was built
	$(CARGO) clean

.PHONY: cluster-lint
cluster-lint: ## check cluster/: manifests, alerts and dashboards, the edge with a real Envoy, the scripts, that no secret is in git
	./.ci/cluster

.PHONY: console grafana kibana prometheus alertmanager credentials
console: ## open the functions' own page of the cluster that KUBECONFIG names, on 127.0.0.1:8443
	./cluster/look console

grafana: ## open the dashboards of the cluster that KUBECONFIG names, on 127.0.0.1:3000
	./cluster/look grafana

kibana: ## open its log lines, on 127.0.0.1:5601
	./cluster/look kibana

prometheus: ## open its figures, on 127.0.0.1:9090
	./cluster/look prometheus

alertmanager: ## open its alerts and silences, on 127.0.0.1:9093
	./cluster/look alertmanager

credentials: ## say users and passwords of these
	./cluster/look credentials
