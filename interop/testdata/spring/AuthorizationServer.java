import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.KeyUse;
import com.nimbusds.jose.jwk.gen.RSAKeyGenerator;
import com.nimbusds.jose.jwk.source.ImmutableJWKSet;
import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.proc.SecurityContext;
import java.util.List;
import java.util.UUID;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.SpringBootConfiguration;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.annotation.Bean;
import org.springframework.core.env.Environment;
import org.springframework.security.crypto.factory.PasswordEncoderFactories;
import org.springframework.security.crypto.password.PasswordEncoder;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.server.authorization.client.InMemoryRegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.settings.ClientSettings;
import org.springframework.security.oauth2.server.authorization.settings.OAuth2TokenFormat;
import org.springframework.security.oauth2.server.authorization.settings.TokenSettings;
import org.springframework.security.oauth2.server.authorization.token.JwtEncodingContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenClaimsContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenCustomizer;

/**
 * Spring Authorization Server as Spring Boot configures it, with a few clients, a signing key of this process's own, and
 * the audience test.audience in each token.
 */
@SpringBootConfiguration(proxyBeanMethods = false)
@EnableAutoConfiguration
public class AuthorizationServer {
	public static void main(String[] args) {
		SpringApplication.run(AuthorizationServer.class, args);
	}

	@Bean
	JWKSource<SecurityContext> keys() throws Exception {
		return new ImmutableJWKSet<>(new JWKSet(new RSAKeyGenerator(2048)
			.keyID(UUID.randomUUID().toString()).keyUse(KeyUse.SIGNATURE).algorithm(JWSAlgorithm.RS256).generate()));
	}

	@Bean
	RegisteredClientRepository clients(Environment env) {
		String secret = env.getRequiredProperty("test.secret"); // one for both, salted: the repository refuses equal texts
		PasswordEncoder encoder = PasswordEncoderFactories.createDelegatingPasswordEncoder();
		TokenSettings bound = TokenSettings.builder().x509CertificateBoundAccessTokens(true).build();
		TokenSettings opaque = TokenSettings.builder().x509CertificateBoundAccessTokens(true)
			.accessTokenFormat(OAuth2TokenFormat.REFERENCE).build();
		return new InMemoryRegisteredClientRepository(
			client("unbound", ClientAuthenticationMethod.CLIENT_SECRET_BASIC).clientSecret(encoder.encode(secret)).build(),
			client("by-key", ClientAuthenticationMethod.CLIENT_SECRET_BASIC).clientSecret(encoder.encode(secret)).build(),
			client("by-dn", ClientAuthenticationMethod.TLS_CLIENT_AUTH).tokenSettings(bound).clientSettings(ClientSettings.builder()
				.x509CertificateSubjectDN("CN=by-dn,O=Orders").build()).build(),
			client("api-by-secret", ClientAuthenticationMethod.CLIENT_SECRET_BASIC).clientSecret(encoder.encode(secret)).build(),
			client("opaque-by-secret", ClientAuthenticationMethod.CLIENT_SECRET_BASIC).clientSecret(encoder.encode(secret))
				.tokenSettings(opaque).build(),
			client("opaque-by-dn", ClientAuthenticationMethod.TLS_CLIENT_AUTH).tokenSettings(opaque).clientSettings(ClientSettings.builder()
				.x509CertificateSubjectDN("CN=by-dn,O=Orders").build()).build(),
			client("self-signed", ClientAuthenticationMethod.SELF_SIGNED_TLS_CLIENT_AUTH).tokenSettings(bound).clientSettings(ClientSettings.builder()
				.jwkSetUrl(env.getRequiredProperty("test.self-signed")).build()).build());
	}

	private static RegisteredClient.Builder client(String id, ClientAuthenticationMethod method) {
		return RegisteredClient.withId(id).clientId(id).clientAuthenticationMethod(method)
			.authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS).scope("orders.read");
	}

	@Bean
	OAuth2TokenCustomizer<JwtEncodingContext> audience(Environment env) {
		return c -> c.getClaims().audience(List.of(env.getRequiredProperty("test.audience")));
	}

	@Bean
	OAuth2TokenCustomizer<OAuth2TokenClaimsContext> audienceOfOpaqueTokens(Environment env) {
		return c -> c.getClaims().audience(List.of(env.getRequiredProperty("test.audience")));
	}
}
