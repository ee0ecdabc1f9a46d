import jakarta.servlet.http.HttpServletRequest;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.SpringBootConfiguration;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.security.oauth2.server.authorization.autoconfigure.servlet.OAuth2AuthorizationServerAutoConfiguration;
import org.springframework.boot.security.oauth2.server.authorization.autoconfigure.servlet.OAuth2AuthorizationServerJwtAutoConfiguration;
import org.springframework.context.annotation.Bean;
import org.springframework.core.env.Environment;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.annotation.web.configurers.AbstractHttpConfigurer;
import org.springframework.security.config.http.SessionCreationPolicy;
import org.springframework.security.core.Authentication;
import org.springframework.security.oauth2.core.DelegatingOAuth2TokenValidator;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RestController;

/**
 * An API of Spring Security's, with mutual TLS and DPoP. It takes tokens as Spring Boot's properties set it up to; with test.at-jwt=true
 * those of RFC 9068 alone, by Spring's own validator for these.
 */
@SpringBootConfiguration(proxyBeanMethods = false)
@EnableAutoConfiguration(exclude = {OAuth2AuthorizationServerAutoConfiguration.class, OAuth2AuthorizationServerJwtAutoConfiguration.class})
public class ResourceServer {
	public static void main(String[] args) {
		SpringApplication.run(ResourceServer.class, args);
	}

	@Bean
	SecurityFilterChain api(HttpSecurity http) throws Exception {
		return http.authorizeHttpRequests(r -> r.anyRequest().authenticated())
			.sessionManagement(s -> s.sessionCreationPolicy(SessionCreationPolicy.STATELESS))
			.csrf(AbstractHttpConfigurer::disable)
			.oauth2ResourceServer(o -> o.jwt(Customizer.withDefaults()).dPoP(Customizer.withDefaults()))
			.build();
	}

	@Bean
	JwtDecoder decoder(Environment env) {
		String issuer = env.getRequiredProperty("test.issuer"), audience = env.getRequiredProperty("test.audience");
		var builder = NimbusJwtDecoder.withJwkSetUri(env.getRequiredProperty("test.keys")).jwsAlgorithms(a -> a.addAll(
			Set.of(SignatureAlgorithm.RS256, SignatureAlgorithm.ES256, SignatureAlgorithm.PS256, SignatureAlgorithm.ES384)));
		if (env.getProperty("test.at-jwt", Boolean.class, false)) {
			NimbusJwtDecoder d = builder.validateType(false).build();
			d.setJwtValidator(JwtValidators.createAtJwtValidator().issuer(issuer).audience(audience).build());
			return d;
		}
		NimbusJwtDecoder d = builder.build();
		d.setJwtValidator(new DelegatingOAuth2TokenValidator<>(JwtValidators.createDefaultWithIssuer(issuer),
			new JwtClaimValidator<List<String>>("aud", a -> a != null && a.contains(audience))));
		return d;
	}

	@RestController
	static class Handler {
		@RequestMapping("/**")
		Map<String, String> any(HttpServletRequest r, Authentication a) {
			return Map.of("ran", r.getMethod() + " " + r.getRequestURI(), "sub", a.getName());
		}
	}
}
