# The two commands of a fresh machine; both do all their own set-up.

.PHONY: demo test

demo: ## build, receive a simulated mall over HTTPS into SQLite, and show what came of it
	@scripts/demo

test: ## every test: unit, property, real Postgres, whole program
	@scripts/test
