module github.com/seed-171ab058/popauth/tests/stranger

go 1.26.0

require golang.org/x/mod v0.42.0

require (
	golang.org/x/exp v0.0.0-20260908205506-85c1c2202aba // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
)

tool golang.org/x/exp/cmd/apidiff
