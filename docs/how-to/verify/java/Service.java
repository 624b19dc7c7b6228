import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executors;
import org.jose4j.http.Get;
import org.jose4j.json.JsonUtil;
import org.jose4j.jwa.AlgorithmConstraints.ConstraintType;
import org.jose4j.jwk.HttpsJwks;
import org.jose4j.jwk.JsonWebKey;
import org.jose4j.jws.JsonWebSignature;
import org.jose4j.jwt.JwtClaims;
import org.jose4j.jwt.MalformedClaimException;
import org.jose4j.jwt.consumer.InvalidJwtException;
import org.jose4j.jwt.consumer.JwtConsumer;
import org.jose4j.jwt.consumer.JwtConsumerBuilder;
import org.jose4j.jwt.consumer.JwtContext;
import org.jose4j.keys.resolvers.HttpsJwksVerificationKeyResolver;
import org.jose4j.lang.UnresolvableKeyException;

/** A service that accepts access tokens of jwt_auth, verified with jose4j. */
public class Service {

    private static final int LONGEST_LIFETIME = 24 * 60 * 60; // of JWT_AUTH_ACCESS_TOKEN_LIFETIME
    private static final JwtConsumer CONSUMER = consumer();

    private static JwtConsumer consumer() {
        Get http = new Get();
        http.setConnectTimeout(5_000);
        http.setReadTimeout(5_000);
        http.setRetries(0);
        HttpsJwks keySet = new HttpsJwks(System.getenv("JWKS_URL")); // kept for its max-age
        keySet.setSimpleHttpGet(http);
        keySet.setRefreshReprieveThreshold(30_000); // between two fetches for unknown kids
        keySet.setRetainCacheOnErrorDuration(60); // until the next try, if the issuer is down
        return new JwtConsumerBuilder()
                .setVerificationKeyResolver(new KeyOfOneAlgorithm(keySet))
                .setJwsAlgorithmConstraints(ConstraintType.PERMIT, "ES256", "EdDSA", "PS256", "RS256")
                .setExpectedType(true, "at+jwt")
                .setExpectedIssuer(true, System.getenv("ISSUER"))
                .setExpectedAudience(true, System.getenv("AUDIENCE"))
                .setRequireExpirationTime()
                .setRequireNotBefore()
                .setRequireIssuedAt()
                .setIssuedAtRestrictions(0, LONGEST_LIFETIME)
                .setRequireSubject()
                .setRequireJwtId()
                .registerValidator(Service::checkOwnClaims)
                .build();
    }

    /** Finds a key by its kid. jose4j would use an RSA key with PS256 and with RS256. */
    private static class KeyOfOneAlgorithm extends HttpsJwksVerificationKeyResolver {
        KeyOfOneAlgorithm(HttpsJwks keySet) {
            super(keySet);
        }

        @Override
        protected JsonWebKey select(JsonWebSignature token, List<JsonWebKey> keys) {
            String kid = token.getKeyIdHeaderValue();
            String algorithm = token.getAlgorithmHeaderValue();
            return keys.stream()
                    .filter(key -> key.getKeyId() != null && key.getKeyId().equals(kid))
                    .filter(key -> key.getAlgorithm() != null && key.getAlgorithm().equals(algorithm))
                    .findFirst()
                    .orElse(null);
        }
    }

    private static String checkOwnClaims(JwtContext context) throws MalformedClaimException {
        JwtClaims claims = context.getJwtClaims();
        boolean isAccessToken = claims.getStringClaimValue("sid") != null
                && "access".equals(claims.getStringClaimValue("token_use"));
        return isAccessToken ? null : "This is not an access token.";
    }

    private static JwtClaims verify(String token) throws InvalidJwtException {
        if (token.length() > 8192) {
            throw new InvalidJwtException("The token is too long.", List.of(), null);
        }
        return CONSUMER.processToClaims(token);
    }

    /** Tells a key set that can't be fetched, which has a cause, from an unknown key. */
    private static boolean lacksKeys(InvalidJwtException error) {
        return error.getCause() instanceof UnresolvableKeyException unresolved
                && unresolved.getCause() != null;
    }

    private static void answer(HttpExchange exchange) throws IOException {
        List<String> given = exchange.getRequestHeaders().getOrDefault("Authorization", List.of());
        if (given.size() != 1 || !given.get(0).regionMatches(true, 0, "Bearer ", 0, 7)) {
            refuse(exchange, 401, "WWW-Authenticate", "Bearer");
            return;
        }
        try {
            hello(exchange, verify(given.get(0).substring(7)));
        } catch (InvalidJwtException error) {
            if (lacksKeys(error)) {
                refuse(exchange, 503, "Retry-After", "5");
            } else {
                refuse(exchange, 401, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
            }
        }
    }

    private static void refuse(HttpExchange exchange, int status, String name, String value)
            throws IOException {
        exchange.getResponseHeaders().set(name, value);
        exchange.sendResponseHeaders(status, -1);
        exchange.close();
    }

    private static void hello(HttpExchange exchange, JwtClaims claims) throws IOException {
        Map<String, Object> caller =
                Map.of("user", claims.getClaimValue("sub"), "roles", claims.getClaimValue("roles"));
        byte[] body = JsonUtil.toJson(caller).getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    public static void main(String[] arguments) throws IOException {
        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.setExecutor(Executors.newFixedThreadPool(16));
        server.createContext("/", Service::answer);
        server.start();
        System.out.println("Listening on http://127.0.0.1:" + server.getAddress().getPort());
    }
}
