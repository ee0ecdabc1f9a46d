module github.com/seed-171ab058/popauth/tests/stranger

go 1.26.0

require golang.org/x/mod v0.42.0
