// Mcpagent is the client that the conformance suite of the Model Context Protocol runs: the Go SDK's, with popclient in
// its transports, or with -plain without. The suite says in the environment which scenario it is and who the client is, and
// gives the server's URL.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popclient"
)

func main() {
	log.SetFlags(0)
	plain := flag.Bool("plain", false, "without popclient")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: mcpagent [-plain] URL")
	}
	var s settings
	if text := os.Getenv("MCP_CONFORMANCE_CONTEXT"); text != "" {
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			log.Fatal(err)
		}
	}
	if err := run(context.Background(), os.Getenv("MCP_CONFORMANCE_SCENARIO"), flag.Arg(0), *plain, s); err != nil {
		log.Fatal(err)
	}
}

// settings are what the suite says of the client.
type settings struct {
	ID         string `json:"client_id"`
	Secret     string `json:"client_secret"`
	PrivateKey string `json:"private_key_pem"`
	Assertion  string `json:"valid_jwt"`

	IDPClient   string `json:"idp_client_id"`
	IDPToken    string `json:"idp_id_token"`
	IDPEndpoint string `json:"idp_token_endpoint"`
}

// run does what each scenario asks of a client: open a session, list the tools, and call one.
func run(ctx context.Context, scenario, endpoint string, plain bool, s settings) error {
	key, err := popclient.GenerateKey("ES256")
	if err != nil {
		return err
	}
	tokenClient, serverClient := &http.Client{}, &http.Client{}
	if !plain {
		// At the token endpoint a proof names the key that the token will be bound to.
		tokenClient.Transport = &popclient.Proofs{Key: key}
	}
	tokens, err := handler(scenario, endpoint, s, tokenClient)
	if err != nil {
		return err
	}
	if !plain {
		serverClient.Transport = &proving{tokens: tokens, dpop: &popclient.DPoP{Key: key, Source: source{tokens}}}
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint: endpoint, OAuthHandler: tokens, HTTPClient: serverClient,
	}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }() // the process ends with it
	if _, err := session.ListTools(ctx, nil); err != nil {
		return err
	}
	_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "test-tool", Arguments: map[string]any{}})
	return err
}

// proving sends a token with a proof if the server has bound it. A server that ignores proofs issues bearer tokens, which
// the SDK sends as they are.
type proving struct {
	tokens auth.OAuthHandler
	dpop   *popclient.DPoP
}

func (p *proving) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Authorization") != "" {
		token, err := source{p.tokens}.Token()
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(token.TokenType, "DPoP") {
			return p.dpop.RoundTrip(r)
		}
	}
	return http.DefaultTransport.RoundTrip(r)
}

// source is the SDK's tokens for popclient.
type source struct{ tokens auth.OAuthHandler }

func (s source) Token() (*oauth2.Token, error) {
	t, err := s.tokens.TokenSource(context.Background())
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, errors.New("no token yet")
	}
	token, err := t.Token()
	if err != nil {
		return nil, fmt.Errorf("token: %w", err)
	}
	return token, nil
}
