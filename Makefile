# The commands of a fresh machine; all do their own set-up.

.PHONY: demo test soak

demo: ## build, receive a simulated mall over HTTPS into SQLite, and show what came of it
	@scripts/demo

test: ## every test: unit, property, real Postgres, whole program, faults
	@scripts/test

soak: ## the fault tests for an hour or more: kills, power cuts, outages
	@scripts/soak
