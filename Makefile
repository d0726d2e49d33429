# leadflow, built with PGXS: make, make install, make test, make demo, make bench.
# PG_CONFIG=… chooses the server, WERROR=1 makes warnings errors.

EXTENSION = leadflow
MODULE_big = leadflow
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" leadflow.control)

# What gets installed, in this order. State (tables, views) is embedded in
# leadflow._source() for install(); functions are the extension's own.
TABLES = 05_settings 15_calendar 17_team 20_account 25_campaign 30_stage \
	35_lead 36_identity 40_activity 42_contact 45_score 50_handoff 52_review 54_nurture \
	56_outbox 60_sla 70_deal 80_attribution \
	90_triggers 95_starter
FUNCTIONS = 00_install 05_base 15_calendar 30_stage 36_identity 40_activity 42_contact 45_score \
	46_model 50_handoff 52_review 54_nurture 56_outbox 58_policy 59_clock 60_sla 62_report 80_attribution 82_attribution_rules 83_paths 85_backtest 88_brief 90_admin 95_verify 96_reconcile
VIEWS = 10_score 30_stage 36_identity 40_lead 42_contact 46_model 50_handoff 52_review 54_nurture \
	56_outbox 58_clock 60_sla 62_speed 64_marketing 80_attribution 81_funnel 85_performance 87_teams 90_health

STATE = $(TABLES:%=sql/tables/%.sql) $(VIEWS:%=sql/views/%.sql)
CODE = $(FUNCTIONS:%=sql/functions/%.sql)
FINISH = sql/functions/99_finish.sql

# Every released version is updated straight to this one.
RELEASED := $(filter-out $(EXTVERSION),$(patsubst sql/releases/leadflow--%.sql,%,$(wildcard sql/releases/leadflow--*.sql)))
DATA = $(RELEASED:%=sql/releases/leadflow--%.sql)
DATA_built = leadflow--$(EXTVERSION).sql $(RELEASED:%=leadflow--%--$(EXTVERSION).sql)
EXTRA_CLEAN = leadflow.code.sql

PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers
ifdef WERROR
PG_CFLAGS += -Werror
endif

# No bitcode: it would need clang, and nothing here is worth inlining into a query.
ifneq ($(origin with_llvm),command line)
override with_llvm := no
endif

REGRESS = $(patsubst test/sql/%.sql,%,$(sort $(wildcard test/sql/*.sql)))
ISOLATION = $(patsubst test/specs/%.spec,%,$(sort $(wildcard test/specs/*.spec)))
NO_INSTALLCHECK = 1

PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(PGXS),)
include $(PGXS)
else
all install installcheck:
	$(error No PGXS: install PostgreSQL's development files, or name its pg_config with PG_CONFIG=…)
endif

# Sums of rows of a matrix: what PostgreSQL itself is built with for such loops.
src/markov.o: CFLAGS += $(CFLAGS_VECTORIZE)

# PGXS tracks no headers.
$(OBJS): $(wildcard src/*.h)

# Functions, the embedded state, and the finish. awk adds a final newline where
# one is missing.
leadflow.code.sql: $(CODE) $(STATE) $(FINISH) sql/embed.awk Makefile
	{ awk 1 $(CODE) && awk -f sql/embed.awk $(STATE) && awk 1 $(FINISH); } >$@.tmp
	mv $@.tmp $@

# A fresh install replaces nothing: an object that somebody made beforehand is an error.
leadflow--$(EXTVERSION).sql: leadflow.code.sql sql/header.txt leadflow.control
	{ cat sql/header.txt && \
	  sed -E 's/^CREATE OR REPLACE (FUNCTION|PROCEDURE|AGGREGATE)/CREATE \1/' leadflow.code.sql; } >$@.tmp
	mv $@.tmp $@

# An update: the deltas (sql/updates/A--B.sql, one a release) from A on, then all code.
leadflow--%--$(EXTVERSION).sql: leadflow.code.sql sql/header.txt $(wildcard sql/updates/*.sql)
	@ls sql/updates/*--$(EXTVERSION).sql >/dev/null
	{ cat sql/header.txt && \
	  for f in $$(ls sql/updates/*.sql | sort -V); do \
	    from=$${f##*/}; from=$${from%%--*}; \
	    if printf '%s\n' '$*' "$$from" | sort -VC; then awk 1 "$$f"; fi; \
	  done && cat leadflow.code.sql; } >$@.tmp
	mv $@.tmp $@

# Against a running server that has leadflow installed; a database of its own for each
# test, so that none depends on what ran before it.
.PHONY: installcheck
ifneq ($(PGXS),)
installcheck:
	for t in $(REGRESS); do \
	  $(pg_regress_installcheck) --inputdir=test --load-extension=leadflow --dbname=contrib_regression $$t || exit 1; \
	done
	for t in $(ISOLATION); do \
	  $(pg_isolation_regress_installcheck) --inputdir=test --outputdir=. --load-extension=leadflow --dbname=isolation_regression $$t || exit 1; \
	done
endif

# Tests and the demo use a private server and a copy of this tree. TESTS="score sla",
# SPECS=… and PROVE_TESTS=… choose.
.PHONY: test test-layout test-regress test-isolation test-tap demo bench test-long
test:
	test/run
test-layout test-regress test-isolation test-tap:
	test/run $(@:test-%=%)
demo:
	test/demo

# Ten thousand random histories, where make test plays five hundred.
test-long:
	LEADFLOW_HISTORIES=10000 LEADFLOW_SEED=0.42 TESTS="score_property score_limit" test/run regress

# What leadflow costs (doc/benchmark.md); ROWS=… for a quick look.
bench:
	test/bench/run
