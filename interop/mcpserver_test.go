package interop_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// suiteServer has the tools, prompts and resources that the suite asks for, under the names that it gives them.
func suiteServer() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "suite", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
		//nolint:staticcheck // the suite wants logging as servers have it today
		Capabilities: &mcp.ServerCapabilities{Logging: &mcp.LoggingCapabilities{}},
	})
	tool(s, "test_simple_text", func(context.Context, *mcp.CallToolRequest, input) (string, error) {
		return "This is a simple text response for testing.", nil
	})
	tool(s, "test_error_handling", func(context.Context, *mcp.CallToolRequest, input) (string, error) {
		return "", errors.New("this tool intentionally returns an error for testing")
	})
	tool(s, "test_tool_with_logging", func(ctx context.Context, r *mcp.CallToolRequest, _ input) (string, error) {
		for _, what := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
			//nolint:staticcheck // as above
			if err := r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "info", Data: what}); err != nil {
				return "", err
			}
		}
		return "logged", nil
	})
	tool(s, "test_tool_with_progress", func(ctx context.Context, r *mcp.CallToolRequest, _ input) (string, error) {
		for _, p := range []float64{0, 50, 100} {
			if err := r.Session.NotifyProgress(ctx,
				&mcp.ProgressNotificationParams{ProgressToken: r.Params.GetProgressToken(), Progress: p, Total: 100}); err != nil {
				return "", err
			}
		}
		return fmt.Sprint(r.Params.GetProgressToken()), nil
	})
	tool(s, "test_sampling", sample)
	tool(s, "test_elicitation", elicit)
	s.AddPrompt(&mcp.Prompt{Name: "test_simple_prompt", Description: "A prompt"},
		func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user",
				Content: &mcp.TextContent{Text: "This is a simple prompt for testing."}}}}, nil
		})
	for _, name := range []string{"static-text", "watched-resource"} {
		s.AddResource(&mcp.Resource{Name: name, Description: "A resource", MIMEType: "text/plain", URI: "test://" + name},
			func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
				return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, MIMEType: "text/plain",
					Text: "This is the content of the static text resource."}}}, nil
			})
	}
	return s
}

type input struct {
	Prompt  string `json:"prompt,omitempty"`
	Message string `json:"message,omitempty"`
}

// tool adds one that answers with text.
func tool(s *mcp.Server, name string, run func(context.Context, *mcp.CallToolRequest, input) (string, error)) {
	mcp.AddTool(s, &mcp.Tool{Name: name, Description: name},
		func(ctx context.Context, r *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
			text, err := run(ctx, r, in)
			if err != nil {
				return nil, nil, err
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
		})
}

func sample(ctx context.Context, r *mcp.CallToolRequest, in input) (string, error) {
	//nolint:staticcheck // the suite wants sampling as servers ask for it today
	result, err := r.Session.CreateMessage(ctx, &mcp.CreateMessageParams{MaxTokens: 100,
		Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: in.Prompt}}}})
	if err != nil {
		return "", err
	}
	text, _ := result.Content.(*mcp.TextContent)
	if text == nil {
		return "", errors.New("no text")
	}
	return "LLM response: " + text.Text, nil
}

func elicit(ctx context.Context, r *mcp.CallToolRequest, in input) (string, error) {
	result, err := r.Session.Elicit(ctx, &mcp.ElicitParams{Message: in.Message, RequestedSchema: map[string]any{
		"type": "object", "properties": map[string]any{"username": map[string]any{"type": "string", "description": "A name"}},
		"required": []string{"username"},
	}})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Elicitation result: action=%s, content=%v", result.Action, result.Content), nil
}
