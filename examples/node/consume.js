// Receives messages of the relay from a queue of RabbitMQ: does its work, and acks when that
// is committed.
//
//   DATABASE_URL=postgres://app:secret@localhost/shop AMQP_URL=amqp://app:secret@localhost/ \
//     node consume.js orders warehouse
//
// RabbitMQ gives a message that was not acked to the next consumer, with the same id. The
// program ends when the broker is lost; what starts it should start it again.
import { setTimeout } from "node:timers/promises";
import amqp from "amqplib";
import pg from "pg";

const prefetch = 10; // messages that the broker sends ahead of the acks, worked on side by side
const pause = 1000; // ms before a message whose work failed goes back
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

const [queue, consumer] = process.argv.slice(2); // the consumer is the name of this service, and of no other
if (!queue || !consumer) {
  console.error("usage: node consume.js QUEUE CONSUMER");
  process.exit(2);
}
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
// A connection that breaks while idle is replaced by the pool; without this it would end us.
pool.on("error", (error) => console.error("database:", error.message));

// work does what the message asks for, and remembers its id in the same transaction: what
// was done once is not done again.
async function work(id, body) {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const received = await client.query("select relay.receive($1, $2) as first", [consumer, id]);
    if (received.rows[0].first) {
      await client.query("insert into shipment (message_id, what) values ($1, $2)", [id, body.toString()]);
    }
    await client.query("commit");
    client.release();
  } catch (error) {
    client.release(error); // closes the connection, which rolls back
    throw error;
  }
}

// handle works on one message and tells the broker what became of it.
async function handle(message) {
  const id = message.properties.messageId;
  if (!uuid.test(id ?? "")) {
    console.error(`message ${id} is not the relay's`);
    return channel.reject(message, false); // for good
  }
  try {
    await work(id, message.content);
  } catch (error) {
    console.error(`message ${id}:`, error.message);
    await setTimeout(pause);
    return channel.nack(message, false, true); // it comes again
  }
  channel.ack(message);
}

function lost(why) {
  console.error("the broker is lost:", why);
  process.exit(1);
}

const connection = await amqp.connect(process.env.AMQP_URL);
connection.on("error", (error) => lost(error.message));
connection.on("close", () => lost("closed"));
const channel = await connection.createChannel();
channel.on("error", (error) => lost(error.message));
// As the relay declares the queue of amqp:/<queue>, so that either may be there first.
await channel.assertQueue(queue, { durable: true, arguments: { "x-queue-type": "quorum" } });
await channel.prefetch(prefetch);
await channel.consume(queue, (message) => {
  if (message === null) return lost("the queue was deleted");
  handle(message).catch((error) => lost(error.message));
});
