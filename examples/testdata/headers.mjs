// Answers every request with the value of its header x-name, as the request has it: each
// character as its number. Its argument is a port.
import { createServer } from "node:http";

createServer((request, response) => {
  request.resume();
  request.on("end", () => response.end([...request.headers["x-name"]].map((c) => c.codePointAt(0)).join(" ")));
}).listen(Number(process.argv[2]), "127.0.0.1");
