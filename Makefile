# SPDX-License-Identifier: BSD-3-Clause
# The front door; everything else is Meson.

BUILD ?= build

.PHONY: all setup demo bench test crash soak system install uninstall clean

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

# Driver headers that came or changed are found by a new look at DPDK.
$(BUILD)/build.ninja: $(wildcard dpdk-sdk/VERSION)
	@command -v meson >/dev/null || { echo "Meson is missing: run 'sudo make setup' first" >&2; exit 1; }
	@if [ -f $@ ]; then meson configure --clearcache $(BUILD) && meson setup --reconfigure $(BUILD); \
	else meson setup $(BUILD); fi
	@touch $@

setup:
	@usertools/setup.sh --examples
	@usertools/hugepages.sh || [ $$? -eq 3 ]

demo: setup
	@$(MAKE) --no-print-directory all
	@usertools/demo.sh

# Under three minutes; BENCH adds options, such as BENCH="--preset bars".
bench: setup
	@$(MAKE) --no-print-directory all
	@$(BUILD)/apps/bench/slabio-bench --json $(BUILD)/bench.json --csv $(BUILD)/bench.csv $(BENCH)

test: setup
	@$(MAKE) --no-print-directory all
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs

# The whole kill sweep: operations killed and stopped at every instruction, very long ones where it makes a
# difference: some twenty minutes on two quiet cores.
crash: setup
	@$(MAKE) --no-print-directory all
	@test/crash/sweep.py -C $(BUILD) -o $(BUILD)/crash.txt

# Processes killed, aborted and stopped at random under traffic, half of the time on an exact pool and half on a
# conservative one: for an hour, or as many seconds as SOAK says.
SOAK ?= 3600
soak: setup
	@$(MAKE) --no-print-directory all
	@$(BUILD)/test/soak/slabio-soak -t $$(($(SOAK) / 2)) -s $$(date +%s) -o $(BUILD)/soak.txt
	@$(BUILD)/test/soak/slabio-soak -c -t $$(($(SOAK) / 2)) -s $$(date +%s) \
		-o $(BUILD)/soak-conservative.txt

# Stock DPDK programs, interfaces, an installation: everything that is more than one function.
system: setup
	@$(MAKE) --no-print-directory all
	@meson test -C $(BUILD) --no-rebuild --print-errorlogs --suite system

# Below /usr/local, or below PREFIX; the plugins go to the installed DPDK's own folder, unless the
# Meson option plugin_dir names another. DESTDIR is respected.
install: all
ifdef PREFIX
	@meson configure $(BUILD) -Dprefix='$(PREFIX)'
	@ninja -C $(BUILD)
endif
	@meson install -C $(BUILD) --no-rebuild

uninstall:
	@usertools/uninstall.sh $(BUILD)

clean:
	rm -rf $(BUILD)
