import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.jose.util.Base64URL;
import com.nimbusds.oauth2.sdk.dpop.JWKThumbprintConfirmation;
import com.nimbusds.oauth2.sdk.dpop.verifiers.DPoPIssuer;
import com.nimbusds.oauth2.sdk.dpop.verifiers.DPoPProtectedResourceRequestVerifier;
import com.nimbusds.oauth2.sdk.dpop.verifiers.InMemoryDPoPSingleUseChecker;
import com.nimbusds.oauth2.sdk.token.DPoPAccessToken;
import com.nimbusds.openid.connect.sdk.Nonce;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;

/**
 * Nimbus' verifier of proofs at protected resources. Each line of the input is a request, by tabs: method, URL, proof, token, the jkt of
 * the token, and the nonce that was asked for or nothing. The answer is a line: ok, or what Nimbus says.
 */
final class ProofVerifier {
	public static void main(String[] args) throws Exception {
		InMemoryDPoPSingleUseChecker used = new InMemoryDPoPSingleUseChecker(600, 600);
		DPoPProtectedResourceRequestVerifier verifier = new DPoPProtectedResourceRequestVerifier(
			new HashSet<>(DPoPProtectedResourceRequestVerifier.SUPPORTED_JWS_ALGORITHMS), 30, 60, used);
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
		for (String line = in.readLine(); line != null; line = in.readLine()) {
			String[] r = line.split("\t", -1);
			String answer = "ok";
			try {
				verifier.verify(r[0], new URI(r[1]), new DPoPIssuer("the client"), SignedJWT.parse(r[2]), new DPoPAccessToken(r[3]),
					new JWKThumbprintConfirmation(new Base64URL(r[4])), r[5].isEmpty() ? null : new Nonce(r[5]));
			} catch (Exception e) {
				answer = e.getClass().getSimpleName() + ": " + e.getMessage();
			}
			System.out.println(answer);
		}
		used.shutdown();
	}
}
