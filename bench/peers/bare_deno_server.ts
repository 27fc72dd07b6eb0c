/**
 * The floor on `Deno.Conn`: its server.
 *
 * @module
 */

import { serveBare } from "../bare.ts";
import { answerAsServer } from "./commands.mjs";

using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
serveBare(listener);
await answerAsServer({ port: listener.addr.port });
