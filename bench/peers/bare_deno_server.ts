/**
 * The floor on `Deno.Conn`: its server.
 *
 * @module
 */

import { serveBare, stampBare } from "../bare.ts";
import { answerAsServer } from "./commands.mjs";

if (Deno.args[0] === "stamped") stampBare();
using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
serveBare(listener);
await answerAsServer({ port: listener.addr.port });
