// An oidc-provider on loopback. The first line of its input says what it is to be, its first line of output where it is;
// it ends with its input.
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import Provider, { errors } from 'oidc-provider';

console.info = console.warn; // its notices, beside its warnings
const lines = createInterface({ input: process.stdin });
lines.on('close', () => process.exit());
const [line] = await once(lines, 'line');
const { tls, roots, ports, keys, secret, clients, resources } = JSON.parse(line);

// As deployments do, only the second listener asks for certificates (RFC 8705, section 5). It takes any, since those of
// self_signed_tls_client_auth are of no authority.
const open = createServer(tls);
const mutual = createServer({ ...tls, ca: roots, requestCert: true, rejectUnauthorized: false });
await Promise.all([once(open.listen(ports[0], '127.0.0.1'), 'listening'), once(mutual.listen(ports[1], '127.0.0.1'), 'listening')]);
const issuer = `https://127.0.0.1:${open.address().port}`;
const alias = `https://127.0.0.1:${mutual.address().port}`;

const certificateOf = (ctx) => ctx.socket.getPeerX509Certificate();

const provider = new Provider(issuer, {
  clients,
  clientDefaults: {
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    id_token_signed_response_alg: 'ES256',
    introspection_signed_response_alg: 'ES256',
  },
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth'],
  jwks: { keys: keys.map(({ pem, ...rest }) => ({ ...createPrivateKey(pem).export({ format: 'jwk' }), use: 'sig', ...rest })) },
  scopes: ['orders.read'],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true, allowedPolicy: () => true },
    jwtIntrospection: { enabled: true },
    dPoP: { enabled: true, nonceSecret: Buffer.from(secret, 'base64'), requireNonce: () => true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      tlsClientAuth: true,
      selfSignedTlsClientAuth: true,
      getCertificate: certificateOf,
      certificateAuthorized: (ctx) => ctx.socket.authorized,
      certificateSubjectMatches(ctx, property, expected) {
        const { subject, subjectAltName = '' } = certificateOf(ctx);
        switch (property) {
          case 'tls_client_auth_subject_dn':
            return subject.split('\n').reverse().join(',') === expected; // RFC 4514 begins with the last
          case 'tls_client_auth_san_uri':
            return subjectAltName.split(', ').includes(`URI:${expected}`);
          default:
            return false;
        }
      },
    },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo(ctx, resource) {
        if (!resources[resource]) throw new errors.InvalidTarget();
        return { scope: 'orders.read', accessTokenTTL: 600, ...resources[resource] };
      },
    },
  },
});

provider.use(async (ctx, next) => {
  await next();
  if (ctx.oidc?.route === 'discovery') {
    const { token_endpoint: token, introspection_endpoint: introspection } = ctx.body;
    ctx.body.mtls_endpoint_aliases = {
      token_endpoint: token.replace(issuer, alias),
      introspection_endpoint: introspection.replace(issuer, alias),
    };
  }
});
open.on('request', provider.callback());
mutual.on('request', provider.callback());
console.log(JSON.stringify({ issuer, ports: [open, mutual].map((server) => server.address().port) }));
