package popauth_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-171ab058/popauth"
	"github.com/seed-171ab058/popauth/internal/lab"
	"github.com/seed-171ab058/popauth/introspection"
	"github.com/seed-171ab058/popauth/issuers"
)

type schemed struct {
	lab.MemberName
	scheme string
}

func (s schemed) Challenge() (string, []popauth.Param) { return s.scheme, nil }

func TestOptions(t *testing.T) {
	good := popauth.Options{Issuer: "https://id.example.com", Audience: []string{"a"}}
	for _, tt := range []struct {
		name   string
		change func(*popauth.Options)
		want   []string // the fields named
	}{
		{"good", func(*popauth.Options) {}, nil},
		{"issuer with a path", func(o *popauth.Options) { o.Issuer += "/tenant/" }, nil},
		{"nothing", func(o *popauth.Options) { *o = popauth.Options{} }, []string{"Issuer", "Audience"}},
		{"empty audience", func(o *popauth.Options) { o.Audience = []string{"a", ""} }, []string{"Audience"}},
		{"issuer without TLS", func(o *popauth.Options) { o.Issuer = "http://id.example.com" }, []string{"Issuer"}},
		{"issuer on loopback without TLS", func(o *popauth.Options) { o.Issuer = "http://127.0.0.1" }, []string{"Issuer"}},
		{"issuer no URL", func(o *popauth.Options) { o.Issuer = "accounts" }, []string{"Issuer"}},
		{"issuer no URL, but keys", func(o *popauth.Options) { o.Issuer, o.Keys = "accounts", lab.Nowhere{} }, nil},
		{"leeway negative", func(o *popauth.Options) { o.Leeway = -1 }, []string{"Leeway"}},
		{"leeway too long", func(o *popauth.Options) { o.Leeway = 5*time.Minute + 1 }, []string{"Leeway"}},
		{"longest leeway", func(o *popauth.Options) { o.Leeway = 5 * time.Minute }, nil},
		{"realm with a quote", func(o *popauth.Options) { o.Realm = `a"` }, []string{"Realm"}},
		{"realm with a backslash", func(o *popauth.Options) { o.Realm = `a\` }, []string{"Realm"}},
		{"realm with a line break", func(o *popauth.Options) { o.Realm = "a\r\nb" }, []string{"Realm"}},
		{"realm beyond ASCII", func(o *popauth.Options) { o.Realm = "ä" }, []string{"Realm"}},
		{"none", func(o *popauth.Options) { o.Algorithms = []string{"none"} }, []string{"Algorithms"}},
		{"HMAC", func(o *popauth.Options) { o.Algorithms = []string{"ES256", "HS256"} }, []string{"Algorithms"}},
		{"algorithm of other case", func(o *popauth.Options) { o.Algorithms = []string{"es256"} }, []string{"Algorithms"}},
		{"no algorithm", func(o *popauth.Options) { o.Algorithms = []string{} }, []string{"Algorithms"}},
		{"no type", func(o *popauth.Options) { o.TokenTypes = []string{} }, []string{"TokenTypes"}},
		{"confirmer nil", func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{nil} }, []string{"Confirmers"}},
		{"confirmer of nothing", func(o *popauth.Options) { o.Confirmers = []popauth.Confirmer{lab.MemberName("")} },
			[]string{"Confirmers"}},
		{"two confirmers of one member", func(o *popauth.Options) {
			o.Confirmers = []popauth.Confirmer{popauth.MutualTLS{}, lab.MemberName("x5t#S256")}
		}, []string{"Confirmers"}},
		{"confirmer's scheme is Bearer", func(o *popauth.Options) {
			o.Confirmers = []popauth.Confirmer{schemed{"a", "bearer"}}
		}, []string{"Confirmers"}},
		{"confirmer's scheme is none", func(o *popauth.Options) {
			o.Confirmers = []popauth.Confirmer{schemed{"a", "a b"}}
		}, []string{"Confirmers"}},
		{"verifier besides", func(o *popauth.Options) { o.Verifier = lab.VerifierFunc(nil) }, []string{"Verifier"}},
		{"verifier with a leeway of its own", func(o *popauth.Options) {
			*o = popauth.Options{Verifier: lab.VerifierFunc(nil), Leeway: time.Second}
		}, []string{"Verifier"}},
		{"verifier alone", func(o *popauth.Options) { *o = popauth.Options{Verifier: lab.VerifierFunc(nil)} }, nil},
		{"everything", func(o *popauth.Options) {
			*o = popauth.Options{Leeway: -1, Realm: `"`, Algorithms: []string{"none", "x"}, TokenTypes: []string{},
				Confirmers: []popauth.Confirmer{nil}}
		}, []string{"Issuer", "Audience", "Leeway", "Realm", "Algorithms", "Algorithms", "TokenTypes", "Confirmers"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			g, err := popauth.New(o)
			if (g == nil) != (len(tt.want) > 0) || (err == nil) != (len(tt.want) == 0) {
				t.Fatalf("got %v, %v", g, err)
			}
			if err == nil {
				return
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(tt.want) {
				t.Errorf("got %d problems, want %d: %v", len(lines), len(tt.want), err)
			}
			for _, field := range tt.want {
				if !strings.Contains(err.Error(), "popauth: Options."+field+": ") {
					t.Errorf("got %v, want %s named", err, field)
				}
			}
		})
	}
}

// Changing the Options afterwards changes no Guard.
func TestOptionsAreCopied(t *testing.T) {
	l := lab.New(t)
	o := l.Issuer.Options()
	o.Algorithms, o.TokenTypes, o.Confirmers = []string{"ES256"}, []string{"at+jwt"}, []popauth.Confirmer{popauth.MutualTLS{}}
	g, err := popauth.New(o)
	if err != nil {
		t.Fatal(err)
	}
	o.Audience[0], o.Algorithms[0], o.TokenTypes[0], o.Confirmers[0] = "x", "RS256", "x", lab.MemberName("x5t#S256")
	lab.Send(g.Confirm, l.Owner.Request("GET", "/", l.Bound())).Passed(t)
	lab.Send(g.Confirm, l.Thief.Request("GET", "/", l.Bound())).Refused(t, 401, lab.InvalidToken)
}

// Options can grow: nobody can write them without field names or compare them.
func TestOptionsCanGrow(t *testing.T) {
	for _, v := range []any{
		popauth.Options{}, popauth.RemoteKeysOptions{}, popauth.Resource{}, popauth.JWTOptions{}, introspection.Options{},
		issuers.Options{},
	} {
		ty := reflect.TypeOf(v)
		if ty.Comparable() {
			t.Errorf("%v is comparable", ty)
		}
		if f := ty.Field(0); f.IsExported() {
			t.Errorf("%v can be written without field names", ty)
		}
	}
}
