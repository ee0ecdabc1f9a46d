import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.util.Base64URL;
import com.nimbusds.jwt.SignedJWT;
import com.nimbusds.oauth2.sdk.dpop.JWKThumbprintConfirmation;
import com.nimbusds.oauth2.sdk.dpop.verifiers.DPoPIssuer;
import com.nimbusds.oauth2.sdk.dpop.verifiers.DPoPProtectedResourceRequestVerifier;
import com.nimbusds.oauth2.sdk.dpop.verifiers.DPoPTokenRequestVerifier;
import com.nimbusds.oauth2.sdk.dpop.verifiers.InMemoryDPoPSingleUseChecker;
import com.nimbusds.oauth2.sdk.token.DPoPAccessToken;
import com.nimbusds.openid.connect.sdk.Nonce;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;

/**
 * Nimbus' verifiers of proofs, at protected resources and, where a request has no token, at token endpoints. Each line of the input is
 * a request, by tabs: method, URL, proof, token, the jkt that is wanted, and the nonce that was asked for or nothing. The answer is a
 * line: ok, or what Nimbus says.
 */
final class ProofVerifier {
	public static void main(String[] args) throws Exception {
		InMemoryDPoPSingleUseChecker used = new InMemoryDPoPSingleUseChecker(600, 600);
		Set<JWSAlgorithm> algorithms = new HashSet<>(DPoPProtectedResourceRequestVerifier.SUPPORTED_JWS_ALGORITHMS);
		DPoPIssuer client = new DPoPIssuer("the client");
		DPoPProtectedResourceRequestVerifier verifier = new DPoPProtectedResourceRequestVerifier(algorithms, 30, 60, used);
		BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
		for (String line = in.readLine(); line != null; line = in.readLine()) {
			String[] r = line.split("\t", -1);
			String answer = "ok";
			try {
				Nonce nonce = r[5].isEmpty() ? null : new Nonce(r[5]);
				JWKThumbprintConfirmation key = new JWKThumbprintConfirmation(new Base64URL(r[4]));
				if (r[3].isEmpty()) {
					answer = new DPoPTokenRequestVerifier(algorithms, new URI(r[1]), 30, 60, used).verify(client, SignedJWT.parse(r[2]), nonce)
						.equals(key) ? "ok" : "another key";
				} else {
					verifier.verify(r[0], new URI(r[1]), client, SignedJWT.parse(r[2]), new DPoPAccessToken(r[3]), key, nonce);
				}
			} catch (Exception e) {
				answer = e.getClass().getSimpleName() + ": " + e.getMessage();
			}
			System.out.println(answer);
		}
		used.shutdown();
	}
}
