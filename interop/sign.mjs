// Signs with jose. Each line of input has a JWK, a header and claims, and is answered with the token. It ends with its input.
import { createInterface } from 'node:readline';
import * as jose from 'jose';

for await (const line of createInterface({ input: process.stdin })) {
  const { jwk, header, claims } = JSON.parse(line);
  const key = await jose.importJWK(jwk, header.alg);
  console.log(JSON.stringify(await new jose.SignJWT(claims).setProtectedHeader(header).sign(key)));
}
