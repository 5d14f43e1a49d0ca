// Inserts a message in the way of docs/orms.md, and then in the way that it warns of.
import { createRequire } from "node:module";

const { Client } = createRequire(new URL("../node/", import.meta.url))("pg");
const db = new Client({ connectionString: process.env.DATABASE_URL });
await db.connect();
const insert = "insert into relay.outbox (topic, key, payload, headers) values ($1, $2, $3, $4) returning id";
const values = ["order.created", "order-7", JSON.stringify({ order: 7 }), { tenant: "acme" }];
const { rows } = await db.query(insert, values);
console.log("inserted", rows[0].id);
try {
  await db.query("insert into relay.outbox (topic) values ('order.created') returning *");
  console.log("inserted");
} catch (error) {
  console.log("refused:", error.message);
}
await db.end();
