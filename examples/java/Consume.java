import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.Map;
import java.util.UUID;

/**
 * Receives messages of the relay from a queue of RabbitMQ: does its work, and acks when that
 * is committed.
 *
 * <pre>
 *   export JDBC_DATABASE_URL='jdbc:postgresql://localhost/shop?user=app&amp;password=secret'
 *   export AMQP_URL=amqp://app:secret@localhost/
 *   cd /usr/share/java
 *   java -cp postgresql.jar:amqp-client.jar:slf4j-api.jar:slf4j-simple.jar …/Consume.java orders warehouse
 * </pre>
 *
 * RabbitMQ gives a message that was not acked to the next consumer, with the same id. The
 * client connects again by itself when the broker was lost.
 */
public class Consume extends DefaultConsumer {
    static final int PREFETCH = 10; // messages that the broker sends ahead of the acks
    static String consumer; // the name under which the program receives, one for each service
    static final long PAUSE = 1000; // ms before a message whose work failed goes back

    Consume(Channel channel) {
        super(channel);
    }

    public static void main(String[] args) throws Exception {
        if (args.length != 2) {
            System.err.println("usage: Consume.java QUEUE CONSUMER");
            System.exit(2);
        }
        String queue = args[0];
        consumer = args[1];
        ConnectionFactory factory = new ConnectionFactory();
        factory.setUri(System.getenv("AMQP_URL"));
        Channel channel = factory.newConnection().createChannel();
        // As the relay declares the queue of amqp:/<queue>, so that either may be there first.
        channel.queueDeclare(queue, true, false, false, Map.of("x-queue-type", "quorum"));
        channel.basicQos(PREFETCH);
        boolean autoAck = false;
        channel.basicConsume(queue, autoAck, new Consume(channel));
    }

    /** Works on one message and tells the broker what became of it. */
    @Override
    public void handleDelivery(String consumerTag, Envelope envelope, BasicProperties properties, byte[] body)
            throws IOException {
        long tag = envelope.getDeliveryTag();
        UUID id = parse(properties.getMessageId());
        if (id == null) {
            System.err.println("message " + properties.getMessageId() + " is not the relay's");
            getChannel().basicReject(tag, false); // for good
            return;
        }
        try {
            work(id, body);
        } catch (SQLException | RuntimeException e) {
            System.err.println("message " + id + ": " + e);
            pause();
            getChannel().basicNack(tag, false, true); // it comes again
            return;
        }
        getChannel().basicAck(tag, false);
    }

    /** Returns null if the text is no UUID. */
    static UUID parse(String text) {
        try {
            return text == null ? null : UUID.fromString(text);
        } catch (IllegalArgumentException e) {
            return null;
        }
    }

    static void pause() {
        try {
            Thread.sleep(PAUSE);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Does what the message asks for, and remembers its id in the same transaction: what was
     * done once is not done again.
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
