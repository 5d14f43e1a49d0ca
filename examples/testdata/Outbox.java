import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.Statement;

/** Inserts a message in the way of docs/orms.md, and then in the ways that it warns of. */
public class Outbox {
    public static void main(String[] args) throws Exception {
        try (Connection db = DriverManager.getConnection(System.getenv("JDBC_DATABASE_URL"))) {
            PreparedStatement insert = db.prepareStatement(
                "insert into relay.outbox (topic, key, payload, headers) values (?, ?, ?, ?::jsonb)",
                new String[] {"id"});
            System.out.println("inserted " + run(insert));
            refused(db.prepareStatement(
                "insert into relay.outbox (topic, key, payload, headers) values (?, ?, ?, ?::jsonb)",
                Statement.RETURN_GENERATED_KEYS));
            refused(db.prepareStatement(
                "insert into relay.outbox (topic, key, payload, headers) values (?, ?, ?, ?)", new String[] {"id"}));
        }
    }

    static String run(PreparedStatement insert) throws Exception {
        insert.setString(1, "order.created");
        insert.setString(2, "order-7");
        insert.setString(3, "{\"order\": 7}");
        insert.setString(4, "{\"tenant\": \"acme\"}");
        insert.executeUpdate();
        ResultSet keys = insert.getGeneratedKeys();
        keys.next();
        return keys.getString("id");
    }

    static void refused(PreparedStatement insert) {
        try {
            System.out.println("inserted " + run(insert));
        } catch (Exception e) {
            System.out.println("refused: " + e.getMessage().lines().findFirst().get());
        }
    }
}
