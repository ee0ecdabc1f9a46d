package mcpsession_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/mcpsession"
)

func ExampleNew() {
	guard, err := popauth.New(popauth.Options{
		Issuer:   "https://id.example.com",
		Audience: []string{"https://api.example.com/mcp"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "orders", Version: "1.0.0"}, nil)
	type answer struct {
		Text string `json:"text"`
	}
	mcp.AddTool(server, &mcp.Tool{Name: "list"}, func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult,
		answer, error) {
		caller, ok := popauth.FromContext(ctx) // of the request that calls the tool
		if !ok {
			return nil, answer{}, errors.New("not behind a Guard")
		}
		return nil, answer{"orders of " + caller.Subject}, nil
	})

	endpoint, err := mcpsession.New(mcpsession.Options{
		Guard:    guard,
		Policies: []popauth.Policy{popauth.Scope("orders.read")},
		Server:   func(*http.Request) *mcp.Server { return server },
	})
	mux := http.NewServeMux()
	mux.Handle("/mcp", guard.Confirm(endpoint))
	fmt.Println(err)
	// Output: <nil>
}
