import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.crypto.ECDSASigner;
import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.ECKey;
import com.nimbusds.jose.jwk.gen.ECKeyGenerator;
import com.nimbusds.jose.util.Base64URL;
import com.nimbusds.jose.util.JSONObjectUtils;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.SignedJWT;
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * A client by java.net.http, whose proofs are signed by Nimbus. It gets a token bound to its certificate and one bound to its key, calls
 * the API with these as their owner and as a thief does, and prints a line for each call: what, and the status.
 * Arguments: the token endpoint, the API's URL, the secret of by-key, and in Base64 the authority, the client's key, and its chain.
 */
final class JavaClient {
	private static HttpClient.Version version;

	public static void main(String[] args) throws Exception {
		URI endpoint = URI.create(args[0]), api = URI.create(args[1]);
		KeyStore trust = store();
		trust.setCertificateEntry("authority", certificate(args[3]));
		KeyStore own = store();
		List<Certificate> chain = new ArrayList<>();
		for (int i = 5; i < args.length; i++) {
			chain.add(certificate(args[i]));
		}
		own.setKeyEntry("client", KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(args[4]))),
			new char[0], chain.toArray(new Certificate[0]));

		for (HttpClient.Version v : HttpClient.Version.values()) {
			version = v;
			HttpClient nobody = client(trust, null), owner = client(trust, own);

			String bound = token(owner, HttpRequest.newBuilder(endpoint), "client_id=by-dn");
			print("certificate", call(owner, api, "Bearer " + bound, null));
			print("certificate, none", call(nobody, api, "Bearer " + bound, null));

			ECKey key = new ECKeyGenerator(Curve.P_256).generate(), other = new ECKeyGenerator(Curve.P_256).generate();
			String basic = Base64.getEncoder().encodeToString(("by-key:" + args[2]).getBytes(StandardCharsets.UTF_8));
			String ofKey = token(nobody, HttpRequest.newBuilder(endpoint).header("Authorization", "Basic " + basic)
				.header("DPoP", proof(key, "POST", endpoint, null)), "");
			String used = proof(key, "GET", api, ofKey);
			print("key", call(nobody, api, "DPoP " + ofKey, used));
			print("key, proof used", call(nobody, api, "DPoP " + ofKey, used));
			print("key, as Bearer", call(nobody, api, "Bearer " + ofKey, null));
			print("key, no proof", call(nobody, api, "DPoP " + ofKey, null));
			print("key, another", call(nobody, api, "DPoP " + ofKey, proof(other, "GET", api, ofKey)));
		}
	}

	private static void print(String what, int status) {
		System.out.println(version + "\t" + what + "\t" + status);
	}

	private static KeyStore store() throws Exception {
		KeyStore s = KeyStore.getInstance("PKCS12");
		s.load(null, null);
		return s;
	}

	private static Certificate certificate(String encoded) throws Exception {
		return CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(Base64.getDecoder().decode(encoded)));
	}

	private static HttpClient client(KeyStore trust, KeyStore own) throws Exception {
		TrustManagerFactory authorities = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
		authorities.init(trust);
		KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
		keys.init(own, new char[0]);
		SSLContext tls = SSLContext.getInstance("TLS");
		tls.init(keys.getKeyManagers(), authorities.getTrustManagers(), null);
		return HttpClient.newBuilder().sslContext(tls).version(version).build();
	}

	private static String token(HttpClient client, HttpRequest.Builder request, String form) throws Exception {
		String body = "grant_type=client_credentials&scope=orders.read&" + form;
		HttpResponse<String> r = client.send(request.header("Content-Type", "application/x-www-form-urlencoded")
			.POST(HttpRequest.BodyPublishers.ofString(body)).build(), HttpResponse.BodyHandlers.ofString());
		Map<String, Object> answer = JSONObjectUtils.parse(r.body());
		if (r.statusCode() != 200) {
			throw new IllegalStateException("token: " + r.statusCode() + " " + answer);
		}
		return (String) answer.get("access_token");
	}

	private static int call(HttpClient client, URI api, String authorization, String proof) throws Exception {
		HttpRequest.Builder b = HttpRequest.newBuilder(api).header("Authorization", authorization);
		if (proof != null) {
			b.header("DPoP", proof);
		}
		HttpResponse<String> r = client.send(b.build(), HttpResponse.BodyHandlers.ofString());
		if (r.version() != version) {
			throw new IllegalStateException("got " + r.version() + ", want " + version);
		}
		return r.statusCode();
	}

	private static String proof(ECKey key, String method, URI target, String token) throws Exception {
		JWTClaimsSet.Builder claims = new JWTClaimsSet.Builder().jwtID(UUID.randomUUID().toString()).claim("htm", method)
			.claim("htu", target.toString()).issueTime(new Date());
		if (token != null) {
			claims.claim("ath", Base64URL.encode(MessageDigest.getInstance("SHA-256").digest(token.getBytes(StandardCharsets.US_ASCII))).toString());
		}
		SignedJWT jwt = new SignedJWT(new JWSHeader.Builder(JWSAlgorithm.ES256).type(new JOSEObjectType("dpop+jwt")).jwk(key.toPublicJWK()).build(),
			claims.build());
		jwt.sign(new ECDSASigner(key));
		return jwt.serialize();
	}
}
