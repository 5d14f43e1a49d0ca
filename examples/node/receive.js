// Receives messages of the relay: checks the signature, does its work, answers 2xx.
//
//   DATABASE_URL=postgres://app:secret@localhost/shop RELAY_HTTP_SECRET=whsec_… \
//     node receive.js 8080 warehouse
//
// The relay takes any 2xx for "done" and never sends the message again. Everything else,
// and no answer, means that it comes again later, with the same id.
//
// The second argument is the name under which the program receives. Give each service a name
// of its own: two services with one name would each handle half of the messages.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import pg from "pg";

const tolerance = 5 * 60; // seconds; an older request may be a recorded one
const maxBody = 1 << 20; // bytes; RELAY_MAX_PAYLOAD

const [port, consumer] = process.argv.slice(2);
if (!port || !consumer) {
  console.error("usage: node receive.js PORT CONSUMER");
  process.exit(2);
}
const secret = process.env.RELAY_HTTP_SECRET ?? "";
if (!secret.startsWith("whsec_")) {
  console.error("RELAY_HTTP_SECRET must be set to whsec_ and the secret in base64");
  process.exit(2);
}
const key = Buffer.from(secret.slice("whsec_".length), "base64");
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
// A connection that breaks while idle is replaced by the pool; without this it would end us.
pool.on("error", (error) => console.error("database:", error.message));

// verify checks a request as Standard Webhooks 1.0.0 says: the signature covers the id, the time
// and the bytes of the body. While a secret is being changed the header holds several signatures,
// and one of them must be right.
function verify(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  if (!id || !signatures || !/^\d{1,15}$/.test(timestamp ?? "")) return false;
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > tolerance) return false;
  const wanted = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  return signatures.split(" ").some((signature) => {
    const [version, value] = signature.split(",");
    const given = Buffer.from(value ?? "", "base64");
    return version === "v1" && given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

// work does what the message asks for, and remembers its id in the same transaction: what
// was done once is not done again. A second copy that arrives meanwhile waits in
// relay.receive() until this one has committed.
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

async function read(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > maxBody) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

async function handle(request) {
  if (request.method !== "POST") return 405;
  const body = await read(request);
  if (!body) return 413;
  if (!verify(request.headers, body)) return 401;
  await work(request.headers["webhook-id"], body);
  return 204;
}

const server = createServer((request, response) => {
  handle(request)
    .catch((error) => {
      console.error(`message ${request.headers["webhook-id"]}:`, error.message);
      return 500; // the relay comes again
    })
    .then((status) => response.writeHead(status).end());
});
// The relay keeps connections for 30 seconds: close them later than it does.
server.keepAliveTimeout = 60_000;
server.listen(Number(port), "127.0.0.1");
