// A client of serve-test in another language: gets a token that is bound to its key, and calls the API with it, without a proof, and
// with the same proof again. It prints the statuses.
import * as DPoP from "dpop"
import * as jose from "jose"
import { readFileSync } from "node:fs"

const bed = JSON.parse(readFileSync(process.argv[2], "utf8"))
const secret = readFileSync(bed.files["client-secret"], "utf8")
const jwk = JSON.parse(readFileSync(bed.files["dpop-jwk"], "utf8"))
const key = {
  privateKey: await jose.importJWK(jwk, "ES256"),
  publicKey: await jose.importJWK({ kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }, "ES256", { extractable: true }),
}
const nonces = {}

// send repeats a request once for a nonce.
async function send(url, method, headers, body, token) {
  for (let again = true; ; again = false) {
    const proof = await DPoP.generateProof(key, url, method, nonces[new URL(url).origin], token)
    const answer = await fetch(url, { method, body, headers: { ...headers, DPoP: proof } })
    nonces[new URL(url).origin] = answer.headers.get("dpop-nonce") ?? nonces[new URL(url).origin]
    const text = await answer.text()
    if (answer.status < 400 || !again || !(text + answer.headers.get("www-authenticate")).includes("use_dpop_nonce"))
      return { status: answer.status, text, proof }
  }
}

const granted = await send(bed.token_endpoint, "POST", {
  Authorization: "Basic " + btoa(bed.client_id + ":" + secret), "Content-Type": "application/x-www-form-urlencoded",
}, "grant_type=client_credentials")
const token = JSON.parse(granted.text).access_token
const claims = jose.decodeJwt(token)
const set = jose.createLocalJWKSet(await (await fetch(bed.issuer + "/jwks")).json())
await jose.jwtVerify(token, set, { issuer: bed.issuer, audience: bed.audience, typ: "at+jwt" })

const url = bed.api + "/orders"
const authorization = { Authorization: "DPoP " + token }
const owner = await send(url, "GET", authorization, undefined, token)
const replayed = await fetch(url, { headers: { ...authorization, DPoP: owner.proof } })
const without = await fetch(url, { headers: authorization })
const expired = await (await fetch(bed.tokens["expired-key"])).text()
const late = await send(url, "GET", { Authorization: "DPoP " + expired }, undefined, expired)
console.log(JSON.stringify({
  granted: granted.status, jkt: claims.cnf.jkt === bed.jkt, owner: owner.status, replayed: replayed.status, without: without.status,
  expired: late.status,
}))
