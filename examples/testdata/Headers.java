import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.stream.Collectors;

/**
 * Answers every request with the value of its header x-name, as the request has it: each
 * character as its number. Its argument is a port.
 */
public class Headers {
    public static void main(String[] args) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 0);
        server.createContext("/", exchange -> {
            exchange.getRequestBody().readAllBytes();
            String value = exchange.getRequestHeaders().getFirst("x-name");
            byte[] numbers = value.codePoints().mapToObj(String::valueOf).collect(Collectors.joining(" "))
                .getBytes(StandardCharsets.US_ASCII);
            exchange.sendResponseHeaders(200, numbers.length);
            exchange.getResponseBody().write(numbers);
            exchange.close();
        });
        server.start();
    }
}
