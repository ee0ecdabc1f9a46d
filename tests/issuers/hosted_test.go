package issuers_test

import "github.com/seed-171ab058/popauth"

func services() []entry {
	return []entry{
		{title: "Auth0", corpus: "auth0", options: popauth.Options{
			Issuer:         "https://tenant.example-auth0.com/",
			Audience:       []string{"https://example.com/health-api"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"azp", "scope"},
			ClientClaim:    "azp",
		}},
		{title: "Auth0 with the RFC 9068 profile", corpus: "auth0-rfc9068", options: popauth.Options{
			Issuer:     "https://tenant.example-auth0.com/",
			Audience:   []string{"https://example.com/health-api"},
			TokenTypes: []string{"at+jwt"},
		}},
		{title: "Okta, custom authorization server", corpus: "okta", tokens: "custom", options: popauth.Options{
			Issuer:         "https://tenant.example-okta.com/oauth2/default",
			Audience:       []string{"api://default"},
			TokenTypes:     []string{""},
			RequiredClaims: []string{"cid", "scp"},
			ClientClaim:    "cid",
		}},
		{title: "Okta, org authorization server", corpus: "okta", tokens: "org", options: popauth.Options{
			Issuer:         "https://tenant.example-okta.com",
			Audience:       []string{"https://tenant.example-okta.com"},
			TokenTypes:     []string{""},
			RequiredClaims: []string{"cid", "scp"},
			ClientClaim:    "cid",
		}},
		{title: "Entra ID, v2.0 tokens", corpus: "entra-v2", options: popauth.Options{
			Issuer:         "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0",
			Audience:       []string{"11112222-bbbb-3333-cccc-4444dddd5555"}, // the API's own registration
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"azp", "azpacr"},
			ClientClaim:    "azp",
		}},
		{title: "Entra ID, v1.0 tokens", corpus: "entra-v1", options: popauth.Options{
			Issuer:         "https://sts.windows.net/aaaabbbb-0000-cccc-1111-dddd2222eeee/",
			Audience:       []string{"api://11112222-bbbb-3333-cccc-4444dddd5555"}, // the API's own registration
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"appid", "appidacr"},
			ClientClaim:    "appid",
		}, keys: popauth.RemoteKeysOptions{
			Issuer:      "https://sts.windows.net/aaaabbbb-0000-cccc-1111-dddd2222eeee/",
			MetadataURL: "https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/.well-known/openid-configuration",
		}},
		{title: "Azure AD B2C", corpus: "entra-b2c", options: popauth.Options{
			Issuer:         "https://tenant.b2clogin.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0/",
			Audience:       []string{"11112222-bbbb-3333-cccc-4444dddd5555"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"azp", "scp"},
			ClientClaim:    "azp",
		}, keys: popauth.RemoteKeysOptions{
			Issuer:      "https://tenant.b2clogin.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0/",
			MetadataURL: "https://tenant.b2clogin.com/tenant.onmicrosoft.com/B2C_1_signin/v2.0/.well-known/openid-configuration",
		}},
		{title: "Entra External ID", corpus: "entra-external-id", options: popauth.Options{
			Issuer:         "https://aaaabbbb-0000-cccc-1111-dddd2222eeee.ciamlogin.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0",
			Audience:       []string{"11112222-bbbb-3333-cccc-4444dddd5555"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"azp", "azpacr"},
			ClientClaim:    "azp",
		}, keys: popauth.RemoteKeysOptions{
			Issuer:      "https://aaaabbbb-0000-cccc-1111-dddd2222eeee.ciamlogin.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0",
			MetadataURL: "https://tenant.ciamlogin.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0/.well-known/openid-configuration",
		}},
		{title: "Amazon Cognito", corpus: "cognito", options: popauth.Options{
			Issuer:                 "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_example",
			Audience:               []string{"https://api.example.com"},
			TokenTypes:             []string{""},
			RequiredClaims:         []string{"token_use", "client_id"},
			ClientsWithoutAudience: []string{"cognitoclient"}, // leave it out where every client asks for the resource
		}, fits: []string{"without resource binding: no aud"}},
		{title: "Google, service accounts", corpus: "google-service-account", options: popauth.Options{
			Issuer:         "https://accounts.google.com",
			Audience:       []string{"https://api.example.com"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"azp", "email"},
		}},
		{title: "PingOne", corpus: "pingone", options: popauth.Options{
			Issuer:         "https://auth.pingone.example/aaaabbbb-0000-cccc-1111-dddd2222eeee/as",
			Audience:       []string{"https://api.example.com"},
			TokenTypes:     []string{"", "at+jwt"},
			RequiredClaims: []string{"client_id", "scope"},
		}},
		{title: "Salesforce", corpus: "salesforce", options: popauth.Options{
			Issuer:         "https://mydomain.my.salesforce.example",
			Audience:       []string{"https://mydomain.my.salesforce.example"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"client_id", "scp"},
		}},
		{title: "Firebase Authentication", corpus: "firebase", options: popauth.Options{
			Issuer:         "https://securetoken.google.com/my-project",
			Audience:       []string{"my-project"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"firebase"},
		}},
	}
}

func workloads() []entry {
	return []entry{
		{title: "Kubernetes, service accounts", corpus: "kubernetes", options: popauth.Options{
			Issuer:         "https://kubernetes.default.svc.cluster.local",
			Audience:       []string{"https://api.example.com"},
			TokenTypes:     []string{""},
			RequiredClaims: []string{"kubernetes.io"},
		}},
		{title: "SPIRE with jwt_issuer", corpus: "spire", options: popauth.Options{
			Issuer:     "https://oidc.example.org",
			Audience:   []string{"https://api.example.com"},
			TokenTypes: []string{"JWT"},
		}},
		{title: "GitHub Actions", corpus: "github-actions", options: popauth.Options{
			Issuer:         "https://token.actions.githubusercontent.com",
			Audience:       []string{"https://api.example.com"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"repository", "job_workflow_ref"},
		}},
		{title: "GitLab CI/CD", corpus: "gitlab-ci", options: popauth.Options{
			Issuer:         "https://gitlab.example.com",
			Audience:       []string{"https://api.example.com"},
			TokenTypes:     []string{"JWT"},
			RequiredClaims: []string{"project_path", "job_id"},
		}},
	}
}
