// An API whose tokens and proofs oauth4webapi checks, on loopback. The first line of its input says what it is to be, its
// first line of output where it is; it ends with its input.
import { once } from 'node:events';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';
import * as oauth from 'oauth4webapi';

const lines = createInterface({ input: process.stdin });
lines.on('close', () => process.exit());
const [line] = await once(lines, 'line');
const { tls, issuer, keys, audience } = JSON.parse(line);

const options = {
  [oauth.customFetch]: () => new Response(keys, { headers: { 'Content-Type': 'application/json' } }),
  signingAlgorithms: ['ES256'],
};
const server = createServer(tls, async (req, res) => {
  const base = `https://${req.headers.host}`;
  if (req.method !== 'GET' || !URL.canParse(req.url, base) || new URL(req.url, base).pathname !== '/orders') {
    res.writeHead(404).end();
    return;
  }
  try {
    // As the library's users make a Request of what Node has: the URL is that of the Host header.
    const request = new Request(new URL(req.url, base), { headers: req.headers, method: req.method });
    await oauth.validateJwtAccessToken({ issuer, jwks_uri: `${issuer}/jwks` }, request, audience, options);
  } catch {
    const challenge = 'DPoP error="invalid_token", algs="ES256"';
    res.writeHead(401, { 'WWW-Authenticate': req.headers.authorization ? challenge : 'DPoP algs="ES256"' }).end();
    return;
  }
  res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"orders":["12 apples"]}');
});
await once(server.listen(0, '127.0.0.1'), 'listening');
console.log(JSON.stringify(`https://127.0.0.1:${server.address().port}/orders`));
