"""Authlib as an authorization server: for the resource OPAQUE opaque tokens, for others JWTs (RFC 9068). It keeps all in memory.

Variables: PORT, OPAQUE, SECRET (of the client api-by-secret). The client unbound has the secret "secret".
"""

import os
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, grants
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, jsonify, request
from joserfc.jwk import KeySet, RSAKey

# Loopback alone sees it.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "true"

issuer = "http://127.0.0.1:" + os.environ["PORT"]
key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})
issued = {}


class Client(ClientMixin):
    def __init__(self, client_id, secret):
        self.client_id, self.secret = client_id, secret

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return scope

    def check_client_secret(self, secret):
        return secret == self.secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


clients = {
    "unbound": Client("unbound", "secret"),
    "api-by-secret": Client("api-by-secret", os.environ["SECRET"]),
}


class Tokens(JWTBearerTokenGenerator):
    def get_jwks(self):
        return KeySet([key])

    def get_audiences(self, client, user, scope):
        return [request.form["resource"]]

    def access_token_generator(self, client, grant_type, user, scope):
        if request.form["resource"] == os.environ["OPAQUE"]:
            return os.urandom(32).hex()
        return super().access_token_generator(client, grant_type, user, scope)


class Issued(dict):
    """The answer about a token, as long as it lives."""

    def is_expired(self):
        return self["exp"] < time.time()

    def is_revoked(self):
        return False


class Introspection(IntrospectionEndpoint):
    def query_token(self, token, hint):
        return issued.get(token)

    def check_permission(self, token, client, request):
        return client.client_id == "api-by-secret"

    def introspect_token(self, token):
        return token


def save(token, oauth):
    now, client = int(time.time()), oauth.client.client_id
    issued[token["access_token"]] = Issued(
        active=True, iss=issuer, aud=[request.form["resource"]], sub=client, client_id=client,
        scope=token["scope"], token_type=token["token_type"], iat=now, exp=now + token["expires_in"],
    )


app = Flask(__name__)
server = AuthorizationServer(app, query_client=clients.get, save_token=save)
server.register_grant(grants.ClientCredentialsGrant)
server.register_token_generator("default", Tokens(issuer=issuer))
server.register_endpoint(Introspection)


@app.post("/token")
def token():
    return server.create_token_response()


@app.post("/introspect")
def introspect():
    return server.create_endpoint_response(Introspection.ENDPOINT_NAME)


@app.get("/jwks")
def jwks():
    return jsonify(keys=[key.as_dict(private=False)])


@app.get("/.well-known/oauth-authorization-server")
def metadata():
    return jsonify(issuer=issuer, token_endpoint=issuer + "/token", jwks_uri=issuer + "/jwks",
                   introspection_endpoint=issuer + "/introspect")


app.run("127.0.0.1", int(os.environ["PORT"]))
