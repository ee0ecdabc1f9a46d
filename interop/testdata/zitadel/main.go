// Command zitadel is the example provider of zitadel/oidc, on a port of 127.0.0.1 that it is told. It keeps all in memory. The
// tokens of the client web are opaque, those of the client signed JWTs; both have the secret "secret", and may ask for any scope.
package main

import (
	"context"
	"log"
	"log/slog"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

func main() {
	address := "127.0.0.1:" + os.Args[1]
	issuer := "http://" + address + "/"
	for _, id := range []string{"web", "signed"} {
		storage.RegisterClients(storage.WebClient(id, "secret", issuer+"callback"))
	}
	users := storage.NewUserStore(issuer)
	router := exampleop.SetupServer(issuer, clients{storage.NewStorage(users)}, slog.New(slog.NewTextHandler(os.Stderr, nil)), false)
	log.Fatal(http.ListenAndServe(address, router))
}

type clients struct{ *storage.Storage }

func (c clients) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	client, err := c.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return anyScope{client}, nil
}

type anyScope struct{ op.Client }

func (anyScope) IsScopeAllowed(string) bool { return true }

func (c anyScope) AccessTokenType() op.AccessTokenType {
	if c.GetID() == "signed" {
		return op.AccessTokenTypeJWT
	}
	return op.AccessTokenTypeBearer
}
