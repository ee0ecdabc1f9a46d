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
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.server.authorization.client.InMemoryRegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.token.JwtEncodingContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenCustomizer;

/**
 * Spring Authorization Server as Spring Boot configures it, with one client, a signing key of this process's own, and
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
		return new InMemoryRegisteredClientRepository(RegisteredClient.withId("unbound").clientId("unbound")
			.clientSecret("{noop}" + env.getRequiredProperty("test.secret"))
			.clientAuthenticationMethod(ClientAuthenticationMethod.CLIENT_SECRET_BASIC)
			.authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
			.scope("orders.read").build());
	}

	@Bean
	OAuth2TokenCustomizer<JwtEncodingContext> audience(Environment env) {
		return c -> c.getClaims().audience(List.of(env.getRequiredProperty("test.audience")));
	}
}
