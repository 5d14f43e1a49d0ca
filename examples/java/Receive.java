import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Base64;
import java.util.UUID;
import java.util.concurrent.Executors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Receives messages of the relay: checks the signature, does its work, answers 2xx.
 *
 * <pre>
 *   export JDBC_DATABASE_URL='jdbc:postgresql://localhost/shop?user=app&amp;password=secret'
 *   export RELAY_HTTP_SECRET=whsec_…
 *   java -cp /usr/share/java/postgresql.jar Receive.java 8080 warehouse
 * </pre>
 *
 * The relay takes any 2xx for "done" and never sends the message again. Everything else,
 * and no answer, means that it comes again later, with the same id.
 *
 * The second argument is the name under which the program receives. Give each service a name
 * of its own: two services with one name would each handle half of the messages.
 */
public class Receive {
    static final long TOLERANCE = 5 * 60; // seconds; an older request may be a recorded one
    static final int MAX_BODY = 1 << 20; // bytes; RELAY_MAX_PAYLOAD
    static String consumer;
    static final byte[] KEY = readKey(System.getenv("RELAY_HTTP_SECRET"));

    public static void main(String[] args) throws IOException {
        if (args.length != 2) {
            System.err.println("usage: Receive.java PORT CONSUMER");
            System.exit(2);
        }
        int port = Integer.parseInt(args[0]);
        consumer = args[1];
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
        server.createContext("/", Receive::handle);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }

    static byte[] readKey(String secret) {
        if (secret == null || !secret.startsWith("whsec_")) {
            System.err.println("RELAY_HTTP_SECRET must be set to whsec_ and the secret in base64");
            System.exit(2);
        }
        return Base64.getDecoder().decode(secret.substring("whsec_".length()));
    }

    static void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            int status;
            try {
                status = answerTo(exchange);
            } catch (Exception e) {
                System.err.println("message " + exchange.getRequestHeaders().getFirst("webhook-id") + ": " + e);
                status = 500; // the relay comes again
            }
            exchange.sendResponseHeaders(status, -1); // -1: no body
        }
    }

    static int answerTo(HttpExchange exchange) throws Exception {
        byte[] body = exchange.getRequestBody().readNBytes(MAX_BODY + 1);
        if (body.length > MAX_BODY) {
            return 413;
        }
        String id = exchange.getRequestHeaders().getFirst("webhook-id");
        String timestamp = exchange.getRequestHeaders().getFirst("webhook-timestamp");
        String signatures = exchange.getRequestHeaders().getFirst("webhook-signature");
        if (!verify(id, timestamp, signatures, body)) {
            return 401;
        }
        work(UUID.fromString(id), body);
        return 204;
    }

    /**
     * Checks a request as Standard Webhooks 1.0.0 says: the signature covers the id, the time
     * and the bytes of the body. While a secret is being changed the header holds several
     * signatures, and one of them must be right.
     */
    static boolean verify(String id, String timestamp, String signatures, byte[] body)
            throws GeneralSecurityException {
        if (id == null || timestamp == null || signatures == null || !timestamp.matches("[0-9]{1,15}")) {
            return false;
        }
        if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(timestamp)) > TOLERANCE) {
            return false;
        }
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(KEY, "HmacSHA256"));
        mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
        byte[] wanted = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body)))
                .getBytes(StandardCharsets.UTF_8);
        boolean found = false;
        for (String signature : signatures.split(" ")) {
            // isEqual takes the same time wherever the first difference is.
            found |= MessageDigest.isEqual(signature.getBytes(StandardCharsets.UTF_8), wanted);
        }
        return found;
    }

    /**
     * Does what the message asks for, and remembers its id in the same transaction: what was
     * done once is not done again. A second copy that arrives meanwhile waits in
     * relay.receive() until this one has committed.
     */
    static void work(UUID id, byte[] body) throws SQLException {
        // In earnest the connection comes from a pool.
        try (Connection db = DriverManager.getConnection(System.getenv("JDBC_DATABASE_URL"))) {
            db.setAutoCommit(false);
            if (isNew(db, id)) {
                try (PreparedStatement insert =
                        db.prepareStatement("insert into shipment (message_id, what) values (?, ?)")) {
                    insert.setObject(1, id);
                    insert.setString(2, new String(body, StandardCharsets.UTF_8));
                    insert.executeUpdate();
                }
            }
            db.commit();
        }
    }

    /** Returns whether the message is here for the first time. */
    static boolean isNew(Connection db, UUID id) throws SQLException {
        try (PreparedStatement receive = db.prepareStatement("select relay.receive(?, ?)")) {
            receive.setString(1, consumer);
            receive.setObject(2, id);
            try (ResultSet rows = receive.executeQuery()) {
                return rows.next() && rows.getBoolean(1);
            }
        }
    }
}
