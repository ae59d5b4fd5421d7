# make demo   a till's day on the embedded token, every output checked by another program
# make test   format, lints, wire contract, all tests: what CI runs
# make mutants  a million changed key blocks, none of which may open
# make crosscheck  100,000 random inputs of each family against psec, OpenSSL and gmssl; takes hours
# make stories  some ninety days of a till against a local Alipay, each with a fault of its own, as a table
# make faults  the HSM hangs, goes away 50 times for 30 s, forgets and lies, under load; some 35 minutes
# make kills   500 kills at random moments and 20 at every failpoint; nothing may be lost
# make bench  the benches of benches/
# make clients  Alipay's three real SDKs sign and verify through Pintle, against the local Alipay; SM2 by
#               OpenSSL, gmssl, sm-crypto and, where there is a JDK and libbcprov-java, BouncyCastle
# make lint   the first half of `make test`
# make setup  what the others need and this machine lacks; they call it themselves

# One set of flags, so that OpenSSL and the embedded token are built once for all of them.
CARGO_FLAGS := --locked --release --features embedded-token
# The tests kill processes at failpoints. A feature of this crate alone: no dependency is built again.
TEST_FLAGS := --locked --release --features embedded-token,failpoints
BUF_VERSION := 1.75.0
PYTHON := target/venv/bin/python
# Both Python SDKs own the package name alipay.
SDKS := target/sdk-official/ready target/sdk-third/ready target/npm-clients/ready
BUF := target/npm/node_modules/.bin/buf

# The outside checks of the demo and of the tests run under this Python.
export PINTLE_PYTHON := $(CURDIR)/$(PYTHON)

.PHONY: help demo test stories mutants crosscheck faults kills clients bench lint setup system
.NOTPARALLEL:

help:
	@sed -n 's/^# //p;/^$$/q' Makefile

demo: system $(PYTHON)
	cargo run $(CARGO_FLAGS) --bin pintle -- demo

test: lint $(SDKS)
	cargo build --locked --release --package pintle-shim
	cargo build $(TEST_FLAGS) --bins
	cargo build --locked --release --package alipay-gateway
	python3 tests/clients/sdks.py target/release
	rm -rf target/mechanisms
	cargo test $(TEST_FLAGS)
	cargo test --locked --release --package alipay-gateway
	PINTLE_MECHANISMS=complete cargo test $(TEST_FLAGS) --test mechanisms -- --nocapture

stories: system
	cargo test $(TEST_FLAGS) --test stories

faults: system
	cargo build --locked --release --package pintle-shim
	PINTLE_SHUTTLE=1000000 cargo test $(TEST_FLAGS) --test shuttle
	PINTLE_FAULTS=full cargo test $(TEST_FLAGS) --test faults

mutants: system
	PINTLE_MUTANTS=1000000 cargo test $(TEST_FLAGS) --test mutants -- --nocapture

crosscheck: system $(PYTHON)
	PINTLE_KEY_BLOCKS=100000 cargo test $(TEST_FLAGS) --test psec -- --nocapture
	PINTLE_PIN_BLOCKS=100000 cargo test $(TEST_FLAGS) --test psec_pin -- --nocapture
	PINTLE_CROSSCHECK=100000 cargo test $(TEST_FLAGS) --test crosscheck -- --nocapture
	PINTLE_PIN_VERIFICATIONS=100000 cargo test $(TEST_FLAGS) --test psec_verification -- --nocapture
	PINTLE_MAPS=100000 $(MAKE) clients

kills: system
	PINTLE_KILLS=500 PINTLE_POINT_TIMES=20 cargo test $(TEST_FLAGS) --test kill -- --nocapture

clients: system $(PYTHON) $(SDKS)
	cargo build $(CARGO_FLAGS) --bin pintle
	cargo build --locked --release --package alipay-gateway
	python3 tests/clients/sdks.py target/release

lint: setup
	cargo fmt --check
	cargo clippy $(TEST_FLAGS) --all-targets -- -D warnings
	cargo clippy --locked --release --package pintle-shim -- -D warnings
	cargo clippy --locked --release --package alipay-gateway --all-targets -- -D warnings
	@echo "# A production build: no software token, no OpenSSL."
	cargo clippy --locked --release --lib --bins -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc $(CARGO_FLAGS) --no-deps
	cd proto && ../$(BUF) lint

bench: system
	cargo bench --locked --features embedded-token --bench '*'

setup: system $(PYTHON) $(BUF)

system:
	@.ci/setup

$(PYTHON): tests/clients/requirements.txt
	python3 -m venv --clear target/venv
	target/venv/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

target/sdk-%/ready: tests/clients/requirements-sdk-%.txt
	python3 -m venv --clear target/sdk-$*
	target/sdk-$*/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

target/npm-clients/ready: tests/clients/npm/package.json tests/clients/npm/package-lock.json
	mkdir -p target/npm-clients
	cp $^ target/npm-clients
	npm ci --silent --no-audit --no-fund --prefix target/npm-clients
	@touch $@

$(BUF): Makefile
	npm install --silent --no-save --no-audit --no-fund --no-package-lock \
		--prefix target/npm @bufbuild/buf@$(BUF_VERSION)
	@touch $@
