// What a page does to use an API with DPoP (RFC 9449), and what it shows of it. The three functions that a page of
// your own needs are makeKey, proof and callAPI; the rest is the demonstration.

const utf8 = new TextEncoder();

// base64url takes bytes or a string.
function base64url(data) {
  const bytes = typeof data === 'string' ? utf8.encode(data) : new Uint8Array(data);
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

const sha256 = async (text) => base64url(await crypto.subtle.digest('SHA-256', utf8.encode(text)));

// makeKey makes a key that can't be exported: scripts of this page can sign with it while the page is open, and none,
// not even one that was smuggled in, can take it elsewhere. A page that has to survive a reload keeps the CryptoKey
// in IndexedDB, which stores it without ever showing it. This one makes a new key each time.
async function makeKey() {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign']);
  // A public key can always be exported. Only its required members go into proofs.
  const { crv, kty, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey);
  // RFC 7638: the members in this order, without white space.
  return { private: pair.privateKey, jwk: { kty, crv, x, y }, thumbprint: await sha256(JSON.stringify({ crv, kty, x, y })) };
}

// proof signs for one request: its method, its URL without query and fragment, and the token that goes with it.
async function proof(key, method, url, { token, nonce } = {}) {
  const { origin, pathname } = new URL(url);
  const header = { typ: 'dpop+jwt', alg: 'ES256', jwk: key.jwk };
  const claims = { jti: crypto.randomUUID(), htm: method, htu: origin + pathname, iat: Math.floor(Date.now() / 1000) };
  if (token) claims.ath = await sha256(token);
  if (nonce) claims.nonce = nonce;
  const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(claims))}`;
  // WebCrypto's signature is the two numbers side by side, which is what ES256 wants.
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key.private, utf8.encode(input));
  return `${input}.${base64url(signature)}`;
}

// callAPI calls with a fresh proof, and once more if the API wants one of its nonces in it. It tells watch about every
// request. Once is enough: a page that tried for as long as it is told to could be kept busy for ever.
async function callAPI(url, watch = () => {}) {
  for (let attempt = 1; ; attempt++) {
    const headers = {
      Authorization: `DPoP ${state.token}`,
      DPoP: await proof(state.key, 'GET', url, { token: state.token, nonce: state.nonce }),
    };
    const answer = await send('GET', url, headers);
    watch(headers, answer);
    if (attempt === 2 || challengeError(answer) !== 'use_dpop_nonce') return answer;
  }
}

// send keeps the nonce of every answer for the next proof, whatever the status: that is how an API renews it.
// Script can read these headers because the API's CORS exposes them.
async function send(method, url, headers, body) {
  // No cookie is part of this, so none is sent.
  const answer = await fetch(url, { method, headers, body, cache: 'no-store', credentials: 'omit' });
  if (url === config.orders) state.nonce = answer.headers.get('DPoP-Nonce') ?? state.nonce;
  return answer;
}

function challengeError(answer) {
  return /\berror="([^"]*)"/.exec(answer.headers.get('WWW-Authenticate') ?? '')?.[1];
}

// The demonstration.

let config;
let state = {};

const steps = {
  async 1(show) {
    state.key = await makeKey();
    let said;
    try {
      said = JSON.stringify(await crypto.subtle.exportKey('jwk', state.key.private));
    } catch (e) {
      said = `${e.name}: ${e.message}`;
    }
    show({
      step: 'Make a key, and try to export it',
      sent: [line("crypto.subtle.exportKey('jwk', privateKey)")],
      refused: said.startsWith('InvalidAccessError'),
      status: said.startsWith('InvalidAccessError') ? 'refused' : 'exported',
      said: [text(said), line('Thumbprint', state.key.thumbprint)],
    });
  },

  async 2(show) {
    const headers = { DPoP: await proof(state.key, 'POST', config.token) };
    const body = new URLSearchParams({ grant_type: 'urn:example:no-login', client_id: 'spa' });
    const answer = await send('POST', config.token, headers, body);
    const { access_token: token, token_type: type, error } = await answer.json();
    state.token = token;
    const jkt = token && decode(token)[1].cnf.jkt;
    show({
      step: 'Get a token',
      sent: request('POST', config.token, headers),
      ...result(answer),
      said: error ? [text(error)] : [
        text(jkt === state.key.thumbprint ? `token_type ${type}, bound to this page’s key` : 'bound to another key'),
        line('cnf.jkt', jkt),
      ],
    });
  },

  async 3(show) {
    const attempts = [];
    await callAPI(config.orders, (headers, answer) => attempts.push({ headers, answer }));
    for (const a of attempts) {
      show(await outcome({ step: decode(a.headers.DPoP)[1].nonce ? 'Call the API' : 'Call the API, no nonce yet', ...a }));
    }
    state.used = attempts.at(-1).headers;
  },

  // Someone has read the request off a log or a proxy, and sends it again.
  async 4(show) {
    const answer = await send('GET', config.orders, state.used);
    show(await outcome({ step: 'A thief sends the same proof again', headers: state.used, answer }));
  },

  // Someone has the token, and not the key.
  async 5(show) {
    const bearer = { Authorization: `Bearer ${state.token}` };
    show(await outcome({ step: 'A thief sends the token as Bearer', headers: bearer, answer: await send('GET', config.orders, bearer) }));

    const thief = await makeKey();
    const other = {
      Authorization: `DPoP ${state.token}`,
      DPoP: await proof(thief, 'GET', config.orders, { token: state.token, nonce: state.nonce }),
    };
    show(await outcome({ step: 'A thief signs with another key', headers: other, answer: await send('GET', config.orders, other) }));
  },
};

const result = (answer) => ({ status: answer.status, refused: !answer.ok });

// outcome is the row of a request to the API.
async function outcome({ step, headers, answer }) {
  const said = [text(answer.ok ? await answer.text() : challengeError(answer) ?? 'no reason given')];
  for (const name of ['WWW-Authenticate', 'DPoP-Nonce']) {
    if (answer.headers.has(name)) said.push(line(name, answer.headers.get(name)));
  }
  return { step, sent: request('GET', config.orders, headers), ...result(answer), said };
}

// What follows makes the table. Everything goes in as text: the page's policy allows nothing else.

function element(name, className, ...content) {
  const e = document.createElement(name);
  if (className) e.className = className;
  e.append(...content);
  return e;
}

const text = (s) => element('span', 'say', s);

const line = (name, value) => (value === undefined
  ? element('span', 'line', name)
  : element('span', 'line', element('b', '', `${name}: `), value));

// decode returns header and claims, for show: nothing is decided by them.
const decode = (jwt) => jwt.split('.', 2).map((s) => JSON.parse(atob(s.replaceAll('-', '+').replaceAll('_', '/'))));

const short = (s) => (s.length > 24 ? `${s.slice(0, 12)}…${s.slice(-6)}` : s);

function request(method, url, { Authorization: authorization, DPoP: proof }) {
  const lines = [line(`${method} ${url}`)];
  if (authorization) {
    const [scheme, token] = authorization.split(' ');
    lines.push(line('Authorization', `${scheme} ${short(token)}`));
  }
  if (proof) {
    const [header, claims] = decode(proof);
    lines.push(line('DPoP', `proof ${short(claims.jti)}${claims.nonce ? ', with nonce' : ', no nonce'}`));
    lines.push(element('details', '', element('summary', '', 'the proof'),
      element('pre', '', `${JSON.stringify(header, null, 1)}\n${JSON.stringify(claims, null, 1)}`)));
  }
  return lines;
}

function row({ step, sent, status, refused, said }) {
  const head = element('th', '', step);
  head.scope = 'row';
  return element('tr', '', head, element('td', '', ...sent), element('td', refused ? 'refused' : 'accepted', String(status)),
    element('td', '', ...said));
}

// run runs one step or all, and gives each the part of the table that is its own.
async function run(which) {
  const buttons = document.querySelectorAll('button');
  buttons.forEach((b) => { b.disabled = true; });
  document.body.dataset.state = 'running';
  if (which === 'all') state = {};
  for (const n of which === 'all' ? Object.keys(steps) : [which]) {
    const body = document.createElement('tbody');
    body.dataset.step = n;
    const old = document.querySelector(`tbody[data-step="${n}"]`);
    if (old) old.replaceWith(body);
    else document.querySelector('table').append(body);
    try {
      await steps[n]((r) => body.append(row({ ...r, step: `${n} ${r.step}` })));
    } catch (e) {
      body.append(row({ step: n, sent: [], status: 'failed', refused: true, said: [text(`${e.name}: ${e.message}`)] }));
    }
  }
  buttons.forEach((b) => { b.disabled = false; });
  document.body.dataset.state = 'done';
}

config = await (await fetch('/config.json')).json();
document.querySelectorAll('button').forEach((b) => b.addEventListener('click', () => run(b.dataset.run)));
await run('all');
