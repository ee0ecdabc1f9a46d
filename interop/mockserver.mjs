// An oauth2-mock-server, by http. Its first line of output is its address; it ends with its input.
import { OAuth2Server } from 'oauth2-mock-server';

const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');
server.service.on('beforeTokenSigning', (token, request) => {
  token.payload.aud = request.body.aud;
});
await server.start(0, '127.0.0.1');
console.log(JSON.stringify(server.issuer.url));
process.stdin.resume();
process.stdin.on('end', () => server.stop());
