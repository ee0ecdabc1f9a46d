package issuers_test

import "github.com/seed-171ab058/popauth"

// entry is one issuer of docs/issuers.md, with the code that stands there.
type entry struct {
	title   string // its heading
	corpus  string // file of ../tokenkinds/testdata, where its tokens are
	tokens  string // part of the names of the access tokens that it is about; all if empty
	options popauth.Options
	keys    popauth.RemoteKeysOptions // where those that Options.Issuer alone finds won't do
	fits    []string                  // tokens that pass with these options, and with none of docs/tokens.md
}

// entries are all that the page has, in its order.
func entries() []entry {
	return slicesOf(selfHosted(), services(), workloads())
}

func slicesOf(lists ...[]entry) (all []entry) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

func selfHosted() []entry {
	return []entry{
		{title: "Keycloak", corpus: "keycloak", options: popauth.Options{
			Issuer:         "https://kc.example.com/realms/shop",
			Audience:       []string{"orders-api"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"typ", "azp"},
			ClientClaim:    "azp",
		}},
		{title: "Keycloak with at+jwt", corpus: "keycloak-at-jwt", options: popauth.Options{
			Issuer:         "https://kc.example.com/realms/shop",
			Audience:       []string{"orders-api"},
			TokenTypes:     []string{"at+jwt"},
			RequiredClaims: []string{"azp"},
			ClientClaim:    "azp",
		}},
		{title: "Spring Authorization Server", corpus: "spring-at-jwt", options: popauth.Options{
			Issuer:     "https://auth.example.com",
			Audience:   []string{"https://api.example.com"},
			TokenTypes: []string{"at+jwt"},
		}},
		{title: "Spring Authorization Server as it comes", corpus: "spring", options: popauth.Options{
			Issuer:         "https://auth.example.com",
			Audience:       []string{"messaging-client", "web"}, // the clients that may call
			TokenTypes:     []string{""},
			RequiredClaims: []string{"scope"},
		}},
		{title: "Ory Hydra", corpus: "hydra", options: popauth.Options{
			Issuer:         "https://hydra.example.com",
			Audience:       []string{"https://api.example.com"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"client_id", "scp"},
		}},
		{title: "Authlib", corpus: "authlib", options: popauth.Options{
			Issuer:     "https://auth.example.com",
			Audience:   []string{"https://api.example.com"},
			TokenTypes: []string{"at+jwt"},
		}},
		{title: "Duende IdentityServer", corpus: "duende", options: popauth.Options{
			Issuer:     "https://id.example.com",
			Audience:   []string{"urn:orders"},
			TokenTypes: []string{"at+jwt"},
		}},
		{title: "ZITADEL", corpus: "zitadel", options: popauth.Options{
			Issuer:         "https://tenant.zitadel.example",
			Audience:       []string{"456"}, // the project's ID
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"client_id", "jti"},
		}},
		{title: "authentik", corpus: "authentik", options: popauth.Options{
			Issuer:         "https://auth.example.com/application/o/orders/",
			Audience:       []string{"clientid"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"azp", "uid"},
			ClientClaim:    "azp",
		}},
		{title: "dex", corpus: "dex", options: popauth.Options{
			Issuer:        "https://dex.example.com",
			Audience:      []string{"api"},
			TokenTypes:    []string{""},
			AllowIDTokens: true,
		}},
		{title: "PingFederate", corpus: "pingfederate", options: popauth.Options{
			Issuer:         "https://sso.example.com",
			Audience:       []string{"https://api.example.com"},
			TokenTypes:     []string{""},
			RequiredClaims: []string{"client_id", "scope"},
		}},
		{title: "PingAM (ForgeRock)", corpus: "forgerock", options: popauth.Options{
			Issuer:         "https://am.example.com:443/am/oauth2/alpha",
			Audience:       []string{"das-client"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"tokenName"},
		}},
		{title: "WSO2 Identity Server", corpus: "wso2", options: popauth.Options{
			Issuer:         "https://is.example.com:9443/oauth2/token",
			Audience:       []string{"https://api.example.com"},
			TokenTypes:     []string{"at+jwt"},
			RequiredClaims: []string{"client_id", "scope"},
		}},
	}
}
