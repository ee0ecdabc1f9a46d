package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/mcpsession"
)

// routes is the MCP server as you would write it: one endpoint behind the Guard, and outside of it the metadata that tell
// clients where to get a token.
func routes(mux *http.ServeMux, guard *popauth.Guard, server *mcp.Server) error {
	// With sessions, the SDK's default. Each belongs to the caller who opened it; a tool's context has its own request's
	// caller.
	endpoint, err := mcpsession.New(mcpsession.Options{
		Guard:    guard,
		Policies: []popauth.Policy{popauth.Scope("orders.read")},
		Server:   func(*http.Request) *mcp.Server { return server },
		HTTP:     mcp.StreamableHTTPOptions{SessionTimeout: time.Hour}, // else an abandoned session is never freed
	})
	if err != nil {
		return err
	}
	mux.Handle("/mcp", guard.Confirm(endpoint))
	mux.Handle(guard.MetadataPath(), guard.Metadata())
	return nil
}

func orders() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "orders", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "list", Description: "List the caller's orders"}, listOrders)
	mcp.AddTool(server, &mcp.Tool{Name: "cancel", Description: "Cancel an order"}, cancelOrder)
	return server
}

type order struct {
	Number int `json:"number" jsonschema:"the order's number"`
}

type answer struct {
	Text string `json:"text"`
}

func listOrders(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, answer, error) {
	caller, ok := popauth.FromContext(ctx)
	if !ok {
		return nil, answer{}, errors.New("not behind a Guard")
	}
	return nil, answer{fmt.Sprintf("2 orders for %s", caller.ClientID)}, nil
}

// cancelOrder needs one scope more than the endpoint. MCP reports the refusal inside of a 200.
func cancelOrder(ctx context.Context, _ *mcp.CallToolRequest, o order) (*mcp.CallToolResult, answer, error) {
	caller, ok := popauth.FromContext(ctx)
	if !ok || !slices.Contains(caller.Scopes, "orders.cancel") {
		return nil, answer{}, errors.New("orders.cancel is needed for that")
	}
	return nil, answer{fmt.Sprintf("order %d cancelled by %s", o.Number, caller.ClientID)}, nil
}
