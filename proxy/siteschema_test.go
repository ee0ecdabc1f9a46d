package proxy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-171ab058/popauth/internal/lab"
)

// A schema is what is published of one kind of object: names, types, and the values of an enumeration.
type schema struct {
	Type       string            `json:"type"`
	Enum       []string          `json:"enum"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Others     *schema           `json:"additionalProperties"`
	Items      *schema           `json:"items"`
	Open       bool              `json:"x-kubernetes-preserve-unknown-fields"`
}

// published reads an excerpt of testdata/schemas, by the apiVersion and the kind.
func published(t testing.TB, file string) map[string]schema {
	t.Helper()
	b, err := os.ReadFile("testdata/schemas/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Source, License string
		Kinds           map[string]json.RawMessage
	}
	if err := json.Unmarshal(b, &all); err != nil || all.Source == "" || all.License == "" {
		t.Fatal(err, all.Source, all.License)
	}
	kinds := map[string]schema{}
	for name, raw := range all.Kinds {
		var s schema
		var whole struct{ Spec *schema }
		if err := json.Unmarshal(raw, &whole); err != nil {
			t.Fatal(err)
		}
		if whole.Spec != nil { // a custom resource, of which the rest is as of every object
			metadata := schema{Type: "object", Properties: map[string]schema{"name": {Type: "string"}, "namespace": {Type: "string"}}}
			s = schema{Type: "object", Properties: map[string]schema{"metadata": metadata, "spec": *whole.Spec}}
		} else if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		kinds[name] = s
	}
	return kinds
}

// problems says where a value isn't as published.
func (s schema) problems(at string, value any) (all []string) {
	if reflect.DeepEqual(s, schema{}) { // a part that is left out
		return []string{at + " isn't in the excerpt"}
	}
	is := func(kind string) bool { return s.Type == kind || s.Type == "" }
	switch v := value.(type) {
	case map[string]any:
		if !is("object") {
			return []string{at + ": an object, want " + s.Type}
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				all = append(all, at+" has no "+name)
			}
		}
		for name, x := range v {
			switch p, ok := s.Properties[name]; {
			case ok:
				all = append(all, p.problems(at+"."+name, x)...)
			case s.Others != nil:
				all = append(all, s.Others.problems(at+"."+name, x)...)
			case !s.Open:
				all = append(all, at+" knows no "+name)
			}
		}
	case []any:
		if !is("array") || s.Items == nil {
			return []string{at + ": a list, want " + s.Type}
		}
		for i, x := range v {
			all = append(all, s.Items.problems(fmt.Sprintf("%s[%d]", at, i), x)...)
		}
	case string:
		if !is("string") || len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
			all = append(all, fmt.Sprintf("%s: got %q, want %s of %q", at, v, s.Type, s.Enum))
		}
	case int:
		if !is("integer") {
			all = append(all, at+": a number, want "+s.Type)
		}
	case bool:
		if !is("boolean") {
			all = append(all, at+": a boolean, want "+s.Type)
		}
	}
	return all
}

// objects reads what a Site has written, by kind and name, and holds each object to what is published of its kind.
func objects(t testing.TB, text string, kinds map[string]schema) map[string]map[string]any {
	t.Helper()
	documents, err := lab.YAML(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	all := map[string]map[string]any{}
	for _, d := range documents {
		object, ok := d.(map[string]any)
		if !ok {
			t.Fatalf("got %T, want an object", d)
		}
		version, kind := object["apiVersion"].(string), object["kind"].(string)
		s, ok := kinds[version+" "+kind]
		if !ok {
			t.Fatalf("no such kind: %s %s", version, kind)
		}
		name := kind + " " + under(object, "metadata", "namespace").(string) + "/" + under(object, "metadata", "name").(string)
		if all[name] != nil {
			t.Errorf("%s twice", name)
		}
		all[name] = object
		rest := map[string]any{}
		for key, value := range object {
			if key != "apiVersion" && key != "kind" {
				rest[key] = value
			}
		}
		for _, problem := range s.problems(name, rest) {
			t.Error(problem)
		}
	}
	return all
}

// under is the value at the end of a path of names; nil if there is none.
func under(value any, path ...string) any {
	for _, name := range path {
		m, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = m[name]
	}
	return value
}

// The schemas themselves find what isn't in them.
func TestSchema(t *testing.T) {
	gateway := published(t, "istio.json")["networking.istio.io/v1 Gateway"]
	server := func(tls map[string]any, port any) any {
		return map[string]any{"spec": map[string]any{"servers": []any{map[string]any{
			"hosts": []any{"a.example"}, "tls": tls, "port": map[string]any{"number": port, "protocol": "HTTPS", "name": "x"}}}}}
	}
	for _, tt := range []struct {
		name string
		is   any
		want int
	}{
		{"as published", server(map[string]any{"mode": "OPTIONAL_MUTUAL"}, 443), 0},
		{"another value", server(map[string]any{"mode": "OPTIONAL"}, 443), 1},
		{"another name", server(map[string]any{"Mode": "MUTUAL"}, 443), 1},
		{"another type", server(map[string]any{"mode": "MUTUAL"}, "443"), 1},
		{"a list for an object", map[string]any{"spec": []any{}}, 1},
		{"no port", map[string]any{"spec": map[string]any{"servers": []any{map[string]any{"hosts": []any{"a"}}}}}, 1},
	} {
		if got := gateway.problems("", tt.is); len(got) != tt.want {
			t.Errorf("%s: got %q, want %d", tt.name, got, tt.want)
		}
	}
}

// What Kubernetes' own reader of YAML makes of it is what these tests read.
func TestSiteKubectl(t *testing.T) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip(err) // lab.YAML reads JSON's strings and nothing that needs another reader's opinion
	}
	odd := `0123456789abcdef"\: #'{}[]&*!|>%@` + "`" + `- ,?`
	for name, write := range map[string]func() (string, error){
		"ingress-nginx": func() (string, error) { s := ingressSite(); s.Secret = odd; return s.IngressNginx() },
		"istio":         func() (string, error) { s := istioSite(); s.Secret = odd; return s.Istio() },
	} {
		t.Run(name, func(t *testing.T) {
			text, err := write()
			if err != nil {
				t.Fatal(err)
			}
			documents, err := lab.YAML(text)
			if err != nil {
				t.Fatal(err)
			}
			var read []map[string]any
			for i, d := range documents {
				one := d.(map[string]any)
				c := exec.Command(kubectl, "label", "--local", "-f", "-", "popauth=read", "-o", "json")
				c.Env = append(os.Environ(), "HOME="+t.TempDir(), "KUBECONFIG=")
				c.Stdin = strings.NewReader(strings.Split(text, "\n---\n")[i])
				out, err := c.Output()
				if err != nil {
					t.Fatalf("%s: %v", one["kind"], err)
				}
				var got map[string]any
				if err := json.Unmarshal(out, &got); err != nil {
					t.Fatal(err)
				}
				delete(got["metadata"].(map[string]any), "labels")
				read = append(read, got)
			}
			want, _ := json.Marshal(documents)
			got, _ := json.Marshal(read)
			if string(got) != string(want) {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
