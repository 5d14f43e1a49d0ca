// Takes an order and says so: one row in our own table and one in relay.outbox, in one
// transaction. Either both are there afterwards, or neither.
//
//   DATABASE_URL=postgres://app:secret@localhost/shop node send.js Ada 4200
//   … node send.js --roll-back Ada 4200   as above, but changes its mind: nothing is sent
import pg from "pg";

const args = process.argv.slice(2).filter((arg) => arg !== "--roll-back");
const rollBack = process.argv.includes("--roll-back");
const [customer, cents] = [args[0], Number(args[1])];
if (args.length !== 2 || !Number.isInteger(cents)) {
  console.error("usage: node send.js [--roll-back] CUSTOMER CENTS");
  process.exit(2);
}

// A transaction belongs to one connection: with a pool, use pool.connect() for it.
// Ending the connection without a commit, for instance after an error, rolls it back.
const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
await client.connect();
try {
  await client.query("begin");
  const order = await client.query(
    "insert into orders (customer, cents) values ($1, $2) returning id",
    [customer, cents],
  );
  const id = Number(order.rows[0].id); // pg gives a bigint as text
  const message = await client.query(
    "insert into relay.outbox (topic, key, payload) values ($1, $2, $3) returning id",
    ["order.created", `order-${id}`, JSON.stringify({ order: id, customer, cents })],
  );
  if (rollBack) {
    await client.query("rollback");
    console.log(`rolled back ${message.rows[0].id}`);
  } else {
    await client.query("commit");
    console.log(`committed ${message.rows[0].id}`);
  }
} finally {
  await client.end();
}
