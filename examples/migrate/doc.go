// Package migrate has the code of docs/migrate.md: what an API has today, and popauth in its place. Its test runs both with the owner
// of a token and a thief.
package migrate
