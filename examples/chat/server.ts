/**
 * A chat on the terminal, the side that listens. Everyone has a name, and is in one room.
 *
 * @module
 */

import { type Peer, RequestError, Server } from "@pnetwork/pnetwork";
import { parseArgs } from "node:util";
import type { Chat } from "./contract.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "25565" },
    "away-ms": { type: "string", default: "5000" },
  },
});

/** What `authenticate` attaches to a connection. */
type Person = { name: string; room: string };
const people = new Map<string, Person>();
const personOf = ({ attached }: Peer<Chat>) => attached as Person;

const server = new Server<Chat>({
  port: Number(values.port),
  sessionTtlMs: Number(values["away-ms"]), // who is cut off for longer has left
  authenticate({ auth }, held) {
    const name = typeof auth === "string" ? auth.trim() : "";
    if (name === "" || name.length > 32) return { refuse: "a name has 1 to 32 characters" };
    // Who comes back to a connection has the name already.
    const owner = people.get(name);
    if (owner && owner !== held?.attached) return { refuse: `the name ${name} is taken` };
    return { attach: { name, room: "lobby" } };
  },
  onConnect(connection) {
    const person = personOf(connection);
    // Two may have asked for the name at the same moment.
    if (people.has(person.name)) return connection.close({ reason: "the name is taken" });
    people.set(person.name, person);
    enter(connection, person.room);
  },
  onDisconnect(connection) {
    const person = personOf(connection);
    if (people.get(person.name) !== person) return;
    people.delete(person.name);
    leave(connection);
  },
});
server.bindAction("say", (text, _packet, connection) => {
  const { name: who, room } = personOf(connection);
  const said = server.createPacket("said", { who, text: checkText(text, 1_000) });
  server.group(room).broadcast(said, { except: connection });
});
server.bindAction("join", (room, _packet, connection) => {
  checkText(room, 32);
  leave(connection);
  return enter(connection, room);
});
server.bindAction("members", (_data, _packet, connection) => membersOf(personOf(connection).room));

await server.start();
console.log(`listening on ${server.address}`);
Deno.addSignalListener("SIGINT", () => server.close({ reason: "the chat is over" }));

function enter(connection: Peer<Chat>, room: string): string[] {
  const { name: who } = Object.assign(personOf(connection), { room });
  connection.join(room);
  server.group(room).broadcast(server.createPacket("joined", { who, room }), {
    except: connection,
  });
  return membersOf(room);
}

function leave(connection: Peer<Chat>): void {
  const { name: who, room } = personOf(connection);
  connection.leave(room);
  server.group(room).broadcast(server.createPacket("left", { who, room }));
}

function membersOf(room: string): string[] {
  return [...server.group(room).members].map((member) => personOf(member).name).sort();
}

/** The contract is what our own client keeps to. What arrives may be anything. */
function checkText(text: unknown, maxLength: number): string {
  if (typeof text === "string" && text !== "" && text.length <= maxLength) return text;
  throw new RequestError("INVALID_DATA", `1 to ${maxLength} characters are needed`);
}
