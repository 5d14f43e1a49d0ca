import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.UUID;

/**
 * Takes an order and says so: one row in our own table and one in relay.outbox, in one
 * transaction. Either both are there afterwards, or neither.
 *
 * <pre>
 *   export JDBC_DATABASE_URL='jdbc:postgresql://localhost/shop?user=app&amp;password=secret'
 *   java -cp /usr/share/java/postgresql.jar Send.java Ada 4200
 *   java -cp /usr/share/java/postgresql.jar Send.java --roll-back Ada 4200
 * </pre>
 *
 * The second one changes its mind, and nothing is sent.
 */
public class Send {
    public static void main(String[] args) throws SQLException {
        boolean rollBack = args.length == 3 && args[0].equals("--roll-back");
        if (args.length != 2 && !rollBack) {
            System.err.println("usage: Send.java [--roll-back] CUSTOMER CENTS");
            System.exit(2);
        }
        String customer = args[args.length - 2];
        int cents = Integer.parseInt(args[args.length - 1]);

        // Closing the connection without a commit, for instance after an exception, rolls back.
        try (Connection db = DriverManager.getConnection(System.getenv("JDBC_DATABASE_URL"))) {
            db.setAutoCommit(false);
            UUID message = takeOrder(db, customer, cents);
            if (rollBack) {
                db.rollback();
                System.out.println("rolled back " + message);
            } else {
                db.commit();
                System.out.println("committed " + message);
            }
        }
    }

    /** Inserts the order and its message and returns the message's id. Does not commit. */
    static UUID takeOrder(Connection db, String customer, int cents) throws SQLException {
        long order;
        try (PreparedStatement insert = db.prepareStatement(
                "insert into orders (customer, cents) values (?, ?) returning id")) {
            insert.setString(1, customer);
            insert.setInt(2, cents);
            try (ResultSet rows = insert.executeQuery()) {
                rows.next();
                order = rows.getLong("id");
            }
        }
        // Java brings no JSON library; PostgreSQL writes the payload here.
        try (PreparedStatement insert = db.prepareStatement(
                "insert into relay.outbox (topic, key, payload) values (?, ?,"
                + " json_build_object('order', ?::bigint, 'customer', ?::text, 'cents', ?::int)::text)"
                + " returning id")) {
            insert.setString(1, "order.created");
            insert.setString(2, "order-" + order);
            insert.setLong(3, order);
            insert.setString(4, customer);
            insert.setInt(5, cents);
            try (ResultSet rows = insert.executeQuery()) {
                rows.next();
                return rows.getObject("id", UUID.class);
            }
        }
    }
}
