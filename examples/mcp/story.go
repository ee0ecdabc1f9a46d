package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"

	"github.com/seed-171ab058/popauth/popauthtest"
	"github.com/seed-171ab058/popauth/popclient"
)

// step is one line of the story: who does what, and the expected result.
type step struct {
	who, what, want string
	do              func() (string, error)
}

// story is what happens, in its order.
func (w *world) story(ctx context.Context) []step {
	return append(w.discovery(ctx), append(w.withDPoP(ctx), w.withCertificate(ctx)...)...)
}

// discovery does by hand, with the SDK's functions, what its client later does by itself.
func (w *world) discovery(ctx context.Context) []step {
	nobody := &http.Client{Transport: newWire(w.roots, nil)}
	w.Cleanup(nobody.CloseIdleConnections)
	var address string
	var resource *oauthex.ProtectedResourceMetadata
	return []step{
		{"an agent", "calls without a token", "401, resource_metadata at /.well-known/oauth-protected-resource/mcp",
			func() (string, error) {
				resp, err := w.call(ctx, nobody, nil)
				if err != nil {
					return "", err
				}
				challenges, err := oauthex.ParseWWWAuthenticate(resp.Header.Values("WWW-Authenticate"))
				if err != nil {
					return "", err
				}
				for _, c := range challenges {
					address = c.Params["resource_metadata"]
				}
				return fmt.Sprintf("%d, resource_metadata at %s", resp.StatusCode, strings.TrimPrefix(address, w.api.URL)), nil
			}},
		{"an agent", "reads the metadata of the MCP server",
			"orders.cancel orders.read; certificate-bound; DPoP by ES256 ES384 EdDSA Ed25519 PS256 RS256", func() (r string, err error) {
				if resource, err = oauthex.GetProtectedResourceMetadata(ctx, address, w.endpoint, nobody); err != nil {
					return "", err
				}
				kinds := "; DPoP by " + strings.Join(resource.DPOPSigningAlgValuesSupported, " ")
				if resource.TLSClientCertificateBoundAccessTokens {
					kinds = "; certificate-bound" + kinds
				}
				return strings.Join(resource.ScopesSupported, " ") + kinds, nil
			}},
		{"an agent", "reads the metadata of the authorization server", "token endpoint at /token", func() (string, error) {
			if resource == nil || len(resource.AuthorizationServers) != 1 {
				return "no authorization server", nil
			}
			server, err := auth.GetAuthServerMetadata(ctx, resource.AuthorizationServers[0], nobody)
			if err != nil || server == nil {
				return "no metadata", err
			}
			return "token endpoint at " + strings.TrimPrefix(server.TokenEndpoint, w.issuer.URL), nil
		}},
	}
}

func (w *world) withDPoP(ctx context.Context) []step {
	const who, id = "reporting-agent (DPoP)", "reporting-agent"
	caught := newWire(w.roots, nil)
	w.Cleanup(caught.transport.CloseIdleConnections)
	thief := &http.Client{Transport: newWire(w.roots, nil)}
	w.Cleanup(thief.CloseIdleConnections)
	var session *mcp.ClientSession
	token := func() string { return strings.TrimPrefix(caught.last().Get("Authorization"), "DPoP ") }
	return []step{
		{who, "connects, knowing the address alone", "connected, scheme DPoP", func() (string, error) {
			key, err := popclient.GenerateKey("ES256")
			if err != nil {
				return "", err
			}
			if session, err = connectDPoP(ctx, w.endpoint, id, clients[id].secret, key, caught); err != nil {
				return "", err
			}
			w.session = session
			w.Cleanup(func() { _ = session.Close() })
			scheme, _, _ := strings.Cut(caught.last().Get("Authorization"), " ")
			return "connected, scheme " + scheme, nil
		}},
		{who, "calls list", "2 orders for reporting-agent", func() (string, error) { return useTool(ctx, session, "list", nil) }},
		{who, "calls cancel, for which it has no scope", "refused: orders.cancel is needed for that", func() (string, error) {
			return useTool(ctx, session, "cancel", map[string]any{"number": 7})
		}},
		{"a thief", "sends its request again, proof and all", "401 invalid_dpop_proof", func() (string, error) {
			return w.try(ctx, thief, http.Header{"Authorization": caught.last()["Authorization"], "Dpop": caught.last()["Dpop"]})
		}},
		{"a thief", "sends its token as Bearer", "401 invalid_token", func() (string, error) {
			return w.try(ctx, thief, http.Header{"Authorization": {"Bearer " + token()}})
		}},
		{"a thief", "signs with a key of its own", "401 invalid_token", func() (string, error) {
			key, err := popclient.GenerateKey("ES256")
			if err != nil {
				return "", err
			}
			stolen := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token(), TokenType: "DPoP"})
			return w.try(ctx, &http.Client{Transport: &popclient.DPoP{Key: key, Source: stolen, Base: thief.Transport}}, nil)
		}},
		{who, "calls list after all that", "2 orders for reporting-agent", func() (string, error) {
			return useTool(ctx, session, "list", nil)
		}},
	}
}

func (w *world) withCertificate(ctx context.Context) []step {
	const who, id = "service-agent (certificate)", "service-agent"
	owner, other := popauthtest.SelfSigned(w, id), popauthtest.SelfSigned(w, "thief")
	caught := newWire(w.roots, &owner.Certificate)
	w.Cleanup(caught.transport.CloseIdleConnections)
	var session *mcp.ClientSession
	stolen := func() http.Header { return http.Header{"Authorization": caught.last()["Authorization"]} }
	return []step{
		{who, "connects, knowing the address alone", "connected, scheme Bearer", func() (_ string, err error) {
			if session, err = connectCertificate(ctx, w.endpoint, id, clients[id].secret, caught); err != nil {
				return "", err
			}
			w.Cleanup(func() { _ = session.Close() })
			scheme, _, _ := strings.Cut(caught.last().Get("Authorization"), " ")
			return "connected, scheme " + scheme, nil
		}},
		{who, "calls cancel", "order 7 cancelled by service-agent", func() (string, error) {
			return useTool(ctx, session, "cancel", map[string]any{"number": 7})
		}},
		{who, "calls list in the session of reporting-agent", "404", func() (string, error) {
			if w.session == nil {
				return "not connected", nil
			}
			own := stolen()
			own.Set("Mcp-Session-Id", w.session.ID())
			return w.try(ctx, &http.Client{Transport: caught}, own)
		}},
		{"a thief", "sends its token without a certificate", "401 invalid_token", func() (string, error) {
			return w.try(ctx, (*popauthtest.Client)(nil).HTTP(w.api), stolen())
		}},
		{"a thief", "sends its token with another certificate", "401 invalid_token", func() (string, error) {
			return w.try(ctx, other.HTTP(w.api), stolen())
		}},
	}
}

// useTool returns a tool's answer.
func useTool(ctx context.Context, session *mcp.ClientSession, name string, arguments map[string]any) (string, error) {
	if session == nil {
		return "not connected", nil
	}
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: arguments})
	if err != nil {
		return "", err
	}
	if result.IsError {
		text := ""
		for _, c := range result.Content {
			if t, ok := c.(*mcp.TextContent); ok {
				text += t.Text
			}
		}
		return "refused: " + text, nil
	}
	said, _ := result.StructuredContent.(map[string]any)
	return fmt.Sprint(said["text"]), nil
}

// call sends the request that lists the tools. It closes the answer's body.
func (w *world) call(ctx context.Context, c *http.Client, h http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.endpoint,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		return nil, err
	}
	if h != nil {
		r.Header = h.Clone()
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	return resp, resp.Body.Close()
}

// try returns the status and the error that the challenges name.
func (w *world) try(ctx context.Context, c *http.Client, h http.Header) (string, error) {
	resp, err := w.call(ctx, c, h)
	if err != nil {
		return "", err
	}
	challenges, err := oauthex.ParseWWWAuthenticate(resp.Header.Values("WWW-Authenticate"))
	if err != nil {
		return "", err
	}
	code := ""
	for _, c := range challenges {
		code += c.Params["error"]
	}
	return strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", code)), nil
}
