// An openid-client. The first line of its input says who it is; its answer is the token that it got. Each further line is
// a request to an API, with that token or another, and is answered with what came of it. It ends with its input.
import { createInterface } from 'node:readline';
import * as oauth from 'openid-client';
import { Agent, fetch } from 'undici';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => JSON.parse((await lines.next()).value ?? 'null');
const answer = (value) => console.log(JSON.stringify(value));

const { issuer, id, secret, alg, tls, roots, parameters } = await next();
const dispatcher = new Agent({ connect: { ...tls, ca: roots } });
const config = await oauth.discovery(
  new URL(issuer),
  id,
  { use_mtls_endpoint_aliases: !secret },
  secret ? oauth.ClientSecretBasic(secret) : oauth.TlsClientAuth(),
  { algorithm: 'oauth2', [oauth.customFetch]: (url, options) => fetch(url, { ...options, dispatcher }) },
);
const DPoP = alg && oauth.getDPoPHandle(config, await oauth.randomDPoPKeyPair(alg));

const refused = ({ code, status, cause, error }) => ({ status, error: error ?? code, challenges: Array.isArray(cause) ? cause : [] });

let token;
try {
  const got = await oauth.clientCredentialsGrant(config, parameters, { DPoP });
  token = got.access_token;
  answer({ token, type: got.token_type });
} catch (error) {
  answer(refused(error));
}

for (let r = await next(); r; r = await next()) {
  try {
    const options = { DPoP: r.bearer ? undefined : DPoP };
    const response = await oauth.fetchProtectedResource(config, r.token || token, new URL(r.url), 'GET', undefined, undefined, options);
    await response.text();
    answer({ status: response.status });
  } catch (error) {
    answer(refused(error));
  }
}
await dispatcher.close();
