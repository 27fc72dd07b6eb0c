/**
 * The first program: a server and a client, one action, one request.
 *
 * @module
 */

import { Bind, Client, Server } from "@pnetwork/pnetwork";
import { parseArgs } from "node:util";

class Greet extends Bind<{ name: string }, string> {
  run(data: { name: string }) {
    return `hello ${data.name}`;
  }
}

const { values } = parseArgs({ options: { port: { type: "string", default: "25565" } } });

await using server = new Server({ port: Number(values.port) });
server.bindAction("greet", new Greet("greeter"));
await server.start();
console.log(`listening on ${server.address}`);

await using client = new Client({ port: server.port });
await client.start(); // connected and registered: client.token is set
console.log(await client.request("greet", { name: "Ada" }));
