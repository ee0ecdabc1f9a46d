// Clients of an API that asks for DPoP: oauth4webapi, openid-client, and dpop and jose with fetch. The first line of the
// input says where the token server and the API are. Each further line is a request, and is answered with its status and
// the API's reason. It ends with its input.
import { createInterface } from 'node:readline';
import * as dpop from 'dpop';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';
import { Agent, fetch } from 'undici';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => JSON.parse((await lines.next()).value ?? 'null');
const answer = (value) => console.log(JSON.stringify(value));

const { issuer, id, secret, api, roots, parameters } = await next();
const dispatcher = new Agent({ connect: { ca: roots } });
const send = (url, options) => fetch(url, { ...options, dispatcher });
const custom = { [oauth.customFetch]: send };

const client = { client_id: id };
const server = await oauth.processDiscoveryResponse(new URL(issuer), await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...custom }));
const config = await openid.discovery(new URL(issuer), id, undefined, openid.ClientSecretBasic(secret), { algorithm: 'oauth2', [openid.customFetch]: send });

// keys are the client's, by name; each is made, and its token obtained, when first asked for.
const keys = new Map();
async function keyOf(name, alg) {
  if (!keys.has(name)) {
    const pair = await oauth.generateKeyPair(alg ?? 'ES256');
    keys.set(name, { pair, handle: oauth.DPoP(client, pair), forOpenID: openid.getDPoPHandle(config, pair) });
  }
  return keys.get(name);
}

// again tries a second time with the nonce that the server has given, as the libraries ask of their callers.
async function again(request) {
  try {
    return await request();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return await request();
  }
}

async function tokenOf(key, byOpenID) {
  key.token ??= byOpenID
    ? (await openid.clientCredentialsGrant(config, parameters, { DPoP: key.forOpenID })).access_token
    : await again(async () => {
        const options = { DPoP: key.handle, ...custom };
        const response = await oauth.clientCredentialsGrantRequest(
          server, client, oauth.ClientSecretBasic(secret), new URLSearchParams(parameters), options);
        const got = await oauth.processClientCredentialsResponse(server, client, response);
        if (got.token_type !== 'dpop') throw new Error(`token_type ${got.token_type}`);
        return got.access_token;
      });
  return key.token;
}

const outcome = async (response) => {
  await response.text();
  return { status: response.status, reason: response.headers.get('test-reason') ?? undefined };
};

let nonce; // what the API has given to those who send proofs by hand

// byHand sends a proof that make has made, once more if the API asks for a nonce.
async function byHand(r, token, make) {
  for (let tries = 0; ; tries++) {
    const headers = { authorization: `${r.scheme ?? 'DPoP'} ${token}` };
    const proof = await make();
    if (proof) headers.dpop = proof;
    const response = await send(api + r.path, { method: r.method, headers });
    nonce = response.headers.get('dpop-nonce') ?? nonce;
    const got = await outcome(response);
    if (tries || got.status !== 401 || !/use_dpop_nonce/.test(response.headers.get('www-authenticate') ?? '')) return got;
  }
}

let last; // the proof that was sent last

async function run(r) {
  const key = await keyOf(r.key ?? 'own', r.alg);
  const token = await tokenOf(r.token ? await keyOf(r.token) : key, r.package === 'openid-client');
  const url = new URL(api + r.path);
  switch (r.package) {
    case 'oauth4webapi':
      try {
        return await outcome(await again(() =>
          oauth.protectedResourceRequest(token, r.method, url, undefined, r.body, { DPoP: key.handle, ...custom })));
      } catch (error) {
        if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
        return { ...(await outcome(error.response)), errors: error.cause.map((c) => c.parameters.error ?? '') };
      }
    case 'openid-client':
      try {
        return await outcome(
          await openid.fetchProtectedResource(config, token, url, r.method, r.body, undefined, { DPoP: key.forOpenID }));
      } catch (error) {
        if (!(error instanceof openid.WWWAuthenticateChallengeError)) throw error;
        return { ...(await outcome(error.response)), errors: error.cause.map((c) => c.parameters.error ?? '') };
      }
    case 'dpop':
      return await byHand(r, token, async () =>
        (last = r.again ? last : await dpop.generateProof(key.pair, url.href, r.method, nonce, token)));
    case 'jose': {
      const jwk = await jose.exportJWK(key.pair.publicKey);
      const ath = jose.base64url.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))));
      const absent = (members) => Object.fromEntries(Object.entries(members).filter(([, value]) => value !== null));
      return await byHand(r, token, async () => {
        const iat = Math.floor(Date.now() / 1000);
        const claims = { jti: crypto.randomUUID(), htm: r.method, htu: url.href, iat, ath, nonce, ...r.claims };
        claims.iat += r.ago ? -r.ago : 0;
        return await new jose.SignJWT(absent(claims))
          .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', ...r.header, jwk: { ...jwk, ...r.jwk } })
          .sign(key.pair.privateKey);
      });
    }
    case 'none':
      return await byHand(r, token, async () => undefined);
    case 'jose verifies': {
      const set = await (await send(server.jwks_uri)).json();
      const { payload, protectedHeader } = await jose.jwtVerify(token, jose.createLocalJWKSet(set), {
        issuer, audience: parameters.resource, typ: 'at+jwt', requiredClaims: ['client_id', 'sub', 'jti', 'iat', 'exp', 'cnf'],
      });
      const thumbprint = await jose.calculateJwkThumbprint(await jose.exportJWK(key.pair.publicKey));
      return { status: payload.cnf.jkt === thumbprint && protectedHeader.kid ? 200 : 401 };
    }
  }
  throw new Error(`no ${r.package}`);
}

for (let r = await next(); r; r = await next()) {
  try {
    answer(await run(r));
  } catch (error) {
    answer({ failed: `${error} ${error.cause ?? ''}` });
  }
}
await dispatcher.close();
