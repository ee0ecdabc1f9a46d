package main

// broken is a shipped configuration with a mistake in it, what is found, and what a running proxy makes of it.
type broken struct {
	mistake  string
	old, new string
	also     [2]string // another change
	static   [2]string // of Traefik's other file
	codes    string    // what is found, in order of the alphabet

	leaks string // a client's own header of this name reaches the API
	lost  bool   // an owner's certificate doesn't
	unrun bool   // it is read alone: it would not start, or nothing shows
}

var brokenNginx = []broken{
	{mistake: "no certificate", old: "proxy_set_header X-Ssl-Client-Cert $ssl_client_escaped_cert;", codes: "header-not-set",
		leaks: "X-Ssl-Client-Cert"},
	{mistake: "no verdict", old: "proxy_set_header X-Ssl-Client-Verify $ssl_client_verify;", codes: "header-not-set",
		leaks: "X-Ssl-Client-Verify"},
	{
		mistake: "a location with a header of its own", old: "	location / {\n",
		new: "	proxy_set_header X-Ssl-Client-Cert $ssl_client_escaped_cert;\n	proxy_set_header X-Ssl-Client-Verify " +
			"$ssl_client_verify;\n" +
			"	location /orders { proxy_set_header X-Request-Id 1; proxy_pass http://popauth_api; }\n	location / {\n",
		codes: "header-not-set headers-not-inherited method-override repeated secret-not-set", leaks: "X-Ssl-Client-Cert",
	},
	{
		mistake: "an if with a header of its own", old: "		proxy_pass http://popauth_api;\n",
		new: "		if ($request_method = GET) { proxy_set_header X-Request-Id 1; proxy_pass http://popauth_api; " +
			"}\n		proxy_pass http://popauth_api;\n",
		codes: "headers-not-inherited method-override secret-not-set", unrun: true, // nginx takes no proxy_set_header there
	},
	{mistake: "the old variable", old: "$ssl_client_escaped_cert", new: "$ssl_client_cert", codes: "wrong-value"},
	{mistake: "the client's", old: "$ssl_client_escaped_cert", new: "$http_x_ssl_client_cert", codes: "client-value",
		leaks: "X-Ssl-Client-Cert"},
	{mistake: "the client's, by another variable", old: "	location / {\n",
		new: "	set $cert $http_x_ssl_client_cert;\n	location / {\n" +
			"		proxy_set_header X-Ssl-Client-Cert $cert;\n", codes: "set-twice", leaks: "X-Ssl-Client-Cert"},
	{mistake: "a variable of the client's", old: "proxy_set_header X-Ssl-Client-Cert $ssl_client_escaped_cert;",
		new: "set $cert $http_x_ssl_client_cert; " +
			"proxy_set_header X-Ssl-Client-Cert $cert;", codes: "client-value", leaks: "X-Ssl-Client-Cert"},
	{mistake: "a constant verdict", old: "$ssl_client_verify;", new: "SUCCESS;", codes: "wrong-value"},
	{mistake: "twice", old: "		proxy_set_header X-Ssl-Client-Verify",
		new:   "		proxy_set_header X-SSL-CLIENT-CERT \"\";\n		proxy_set_header X-Ssl-Client-Verify",
		codes: "set-twice"},
	{mistake: "no secret", old: `proxy_set_header X-Proxy-Secret "${PROXY_SECRET}";`, codes: "header-not-set secret-not-set",
		leaks: "X-Proxy-Secret"},
	{mistake: "an empty secret", old: `"${PROXY_SECRET}"`, new: `""`, codes: "secret-not-set"},
	{mistake: "underscores", old: "underscores_in_headers off", new: "underscores_in_headers on", codes: "underscores",
		leaks: "X_Ssl_Client_Cert"},
	{mistake: "other names", old: "ignore_invalid_headers on", new: "ignore_invalid_headers off", codes: "odd-spellings",
		leaks: "X.Ssl.Client.Cert"},
	{mistake: "underscores in the default server", old: "server {\n", new: "server { listen 127.0.0.1:1 ssl; ssl_certificate " +
		"${CERTS}/server.crt; " +
		"ssl_certificate_key ${CERTS}/server.key; underscores_in_headers on; }\nserver {\n", codes: "underscores", unrun: true},
	{mistake: "asks for no certificate", old: "ssl_verify_client optional_no_ca", new: "ssl_verify_client off",
		codes: "no-client-certificate", lost: true},
	{mistake: "says nothing of certificates", old: "ssl_verify_client optional_no_ca;", codes: "no-client-certificate", lost: true},
	{mistake: "another method", old: `proxy_set_header X-HTTP-Method-Override "";`, codes: "method-override",
		leaks: "X-HTTP-Method-Override"},
	{mistake: "another path", old: `proxy_set_header X-Rewrite-URL "";`, codes: "method-override", leaks: "X-Rewrite-URL"},
	{mistake: "without TLS as well", old: "	listen ${LISTEN} ssl http2;\n",
		new: "	listen ${LISTEN} ssl http2;\n	listen 127.0.0.1:8;\n", codes: "plain-http", unrun: true},
	{mistake: "early data", old: "proxy_set_header Early-Data $ssl_early_data;", also: [2]string{"	listen ${LISTEN} ssl http2;\n",
		"	listen ${LISTEN} ssl http2;\n	ssl_early_data on;\n"}, codes: "early-data", leaks: "Early-Data"},
	{mistake: "sent again", old: "proxy_next_upstream off;", codes: "repeated"},
	{mistake: "no credentials", old: "		proxy_pass ", new: "		proxy_set_header Authorization \"\";\n		proxy_pass ",
		codes: "credentials-removed"},
	{mistake: "no headers", old: "		proxy_pass ", new: "		proxy_pass_request_headers off;\n		proxy_pass ",
		codes: "credentials-removed"},
	{mistake: "a map's variable", old: "$ssl_client_escaped_cert;", new: "$cert;", also: [2]string{"upstream popauth_api {",
		"map $http_x $cert { default $ssl_client_escaped_cert; }\nupstream popauth_api {"}, codes: "unknown-value"},
	{mistake: "an include", old: "		proxy_pass ", new: "		include headers.conf;\n		proxy_pass ", codes: "unread",
		unrun: true},
	{mistake: "FastCGI", old: "	location / {\n", new: "	location /php { fastcgi_pass 127.0.0.1:9; }\n	location / {\n",
		codes: "unread"},
}

var brokenCaddy = []broken{
	{mistake: "no certificate", old: "header_up X-Ssl-Client-Cert {http.request.tls.client.certificate_der_base64}",
		codes: "header-not-set", leaks: "X-Ssl-Client-Cert"},
	{mistake: "removed as well", old: "		header_up X-Proxy-Secret",
		new: "		header_up -X-Ssl-Client-Cert\n		header_up X-Proxy-Secret", codes: "removed-again", lost: true},
	{mistake: "added", old: "header_up X-Ssl", new: "header_up +X-Ssl", codes: "appended", leaks: "X-Ssl-Client-Cert"},
	{mistake: "PEM", old: "certificate_der_base64", new: "certificate_pem", codes: "wrong-value", lost: true},
	{mistake: "the client's", old: "{http.request.tls.client.certificate_der_base64}", new: "{http.request.header.X-Ssl-Client-Cert}",
		codes: "client-value", leaks: "X-Ssl-Client-Cert"},
	{mistake: "no client_auth", old: " {\n		# Every certificate, self-signed and expired ones too: the handshake proves " +
		"possession, which is all that a\n		# token's binding needs. verify_if_given, with trusted_ca_cert_file, lets only " +
		"valid ones of an authority in.\n		client_auth {\n			mode request\n		}\n	}",
		codes: "no-client-certificate", lost: true},
	{mistake: "another method", old: "request_header -X-HTTP-Method*", codes: "method-override", leaks: "X-HTTP-Method-Override"},
	{mistake: "another path", old: "request_header -X-Original-URL", codes: "method-override", leaks: "X-Original-URL"},
	{mistake: "odd spellings", old: "request_header -*~*", codes: "odd-spellings", leaks: "X~Ssl~Client~Cert"},
	{mistake: "odd spellings, removed from some requests", old: "request_header -*~*", new: "request_header /other -*~*",
		codes: "odd-spellings", leaks: "X~Ssl~Client~Cert"},
	{mistake: "sent again", old: "	reverse_proxy {$API} {\n", new: "	reverse_proxy {$API} {\n		lb_try_duration 2s\n",
		codes: "repeated"},
	{mistake: "targets without path", old: "	respond @odd 400\n", codes: "opaque-target"},
	{mistake: "no secret", old: `header_up X-Proxy-Secret "{$PROXY_SECRET}"`, codes: "secret-not-set", leaks: "X-Proxy-Secret"},
	{mistake: "no token", old: "		header_up X-Proxy-Secret", new: "		header_up -Authorization\n		header_up " +
		"X-Proxy-Secret", codes: "credentials-removed"},
}

var brokenTraefik = []broken{
	{mistake: "not cleared", old: "[replace, certificate]", new: "[certificate]", codes: "header-not-set method-override secret-not-set",
		static: [2]string{"    http:\n", "    forwardedHeaders: { insecure: true }\n    http:\n"}, leaks: "X-Forwarded-Tls-Client-Cert"},
	{mistake: "cleared afterwards", old: "[replace, certificate]", new: "[certificate, replace]",
		codes: "header-not-set removed-again", lost: true},
	{mistake: "no pem", old: "        pem: true\n", new: "        info: {subject: {commonName: true}}\n", codes: "wrong-value", lost: true},
	{mistake: "not passed", old: "[replace, certificate]", new: "[replace]", codes: "header-not-set", lost: true},
	{mistake: "a text", old: `"X-Forwarded-Tls-Client-Cert": ""`, new: `"X-Forwarded-Tls-Client-Cert": "x"`, codes: "wrong-value"},
	{mistake: "no host", old: "\"Host(`${HOST}`)\"\n      entryPoints: [websecure]\n      tls: {}\n",
		new:  "\"PathPrefix(`/`)\"\n      entryPoints: [websecure]\n      tls: { options: clients }\n",
		also: [2]string{"    default:\n      # Every", "    clients:\n      # Every"}, codes: "tls-options-unused", lost: true},
	{mistake: "asks for no certificate", old: "clientAuthType: RequestClientCert", new: "clientAuthType: NoClientCert",
		codes: "no-client-certificate", lost: true},
	{mistake: "other options", old: "tls: {}\n", new: "tls: { options: elsewhere@docker }\n", codes: "unread", unrun: true},
	{mistake: "another method", old: `X-HTTP-Method: ""`, new: `X-Other: ""`, codes: "method-override", leaks: "X-HTTP-Method"},
	{mistake: "odd spellings", static: [2]string{"      aliasHeadersStrategy: delete\n", ""}, codes: "odd-spellings",
		leaks: "X~Forwarded~Tls~Client~Cert"},
	{mistake: "sent again", old: "[replace, certificate]", new: "[again, replace, certificate]",
		also: [2]string{"    certificate:\n", "    again: {retry: {attempts: 3}}\n    certificate:\n"}, codes: "repeated"},
	{mistake: "a middleware from elsewhere", old: "[replace, certificate]", new: "[again@docker, replace, certificate]", codes: "unread",
		unrun: true},
	{mistake: "no secret", old: `"X-Proxy-Secret": "${PROXY_SECRET}"`, new: `"X-Other": "x"`, codes: "secret-not-set",
		leaks: "X-Proxy-Secret"},
	{mistake: "no TLS", old: "      tls: {}\n", codes: "plain-http", unrun: true},
}

var brokenEnvoy = []broken{
	{mistake: "appended", old: "forward_client_cert_details: SANITIZE_SET", new: "forward_client_cert_details: APPEND_FORWARD",
		codes: "appended", leaks: "X-Forwarded-Client-Cert"},
	{mistake: "forwarded", old: "forward_client_cert_details: SANITIZE_SET", new: "forward_client_cert_details: ALWAYS_FORWARD_ONLY",
		codes: "client-value", leaks: "X-Forwarded-Client-Cert"},
	{mistake: "removed", old: "forward_client_cert_details: SANITIZE_SET", new: "forward_client_cert_details: SANITIZE",
		codes: "header-not-set", lost: true},
	{mistake: "a hash alone", old: "{ cert: true, chain: true }", new: "{ subject: true }", codes: "wrong-value", lost: true},
	{mistake: "names", old: "{ cert: true, chain: true }", new: "{ cert: true, chain: true, uri: true }", codes: "unquoted-names"},
	{mistake: "asks for no certificate", old: "            validation_context: { trust_chain_verification: ACCEPT_UNTRUSTED }\n",
		codes: "no-client-certificate", lost: true},
	{mistake: "another method", old: "                - remove_on_match: { key_matcher: { safe_regex: { regex: " +
		"\"(?i)x[^a-z0-9]http[^a-z0-9]method\" } } }\n", codes: "method-override odd-spellings", leaks: "X-HTTP-Method"},
	{mistake: "the secret's spellings", old: "                - remove_on_match: { key_matcher: { safe_regex: { regex: " +
		"\"(?i)x[^a-z0-9]proxy[^a-z0-9]secret\" } } }\n", codes: "odd-spellings", leaks: "X~Proxy~Secret"},
	{mistake: "the secret's spellings, with underscores", old: "                - remove_on_match: { key_matcher: { safe_regex: { " +
		"regex: \"(?i)x[^a-z0-9]proxy[^a-z0-9]secret\" } } }\n",
		also:  [2]string{"{ headers_with_underscores_action: DROP_HEADER }", "{ headers_with_underscores_action: ALLOW }"},
		codes: "odd-spellings underscores", leaks: "X_Proxy_Secret"},
	{mistake: "the secret appended", old: "              append_action: OVERWRITE_IF_EXISTS_OR_ADD\n", codes: "appended"},
	{mistake: "no secret", old: `key: "X-Proxy-Secret",`, new: `key: "X-Other",`, codes: "secret-not-set"},
	{mistake: "sent again", old: "route: { cluster: api }", new: "route: { cluster: api, retry_policy: { retry_on: reset } }",
		codes: "repeated"},
	{mistake: "routes from elsewhere", old: "          route_config:\n",
		new: "          rds: { route_config_name: x }\n          unused:\n", codes: "unread", unrun: true},
}
