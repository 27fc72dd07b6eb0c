/**
 * `Bind`, and the table from an action's name to what is bound to it.
 *
 * @module
 */

import type { ActionFunction, Contract, DataOf, Peer } from "./contract.ts";
import { RequestError } from "./errors.ts";
import { checkActionName, describe, type ReceivedPacket } from "./packet.ts";

/** What a schema says of a value. */
export type SchemaResult<Data> =
  | { readonly value: Data; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  /** For people. It stays here: it may quote data. */
  readonly message: string;
  /** Where in the value. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[];
}

/**
 * A schema of any library that follows {@link https://standardschema.dev | Standard Schema v1} (zod,
 * valibot, arktype …): as much of that interface as is used here.
 */
export interface Schema<Data = unknown> {
  /** The interface. */
  readonly "~standard": {
    /** Its version. */
    readonly version: 1;
    /** Who made the schema. */
    readonly vendor: string;
    /** Checks a value. */
    readonly validate: (value: unknown) => SchemaResult<Data> | Promise<SchemaResult<Data>>;
  };
}

/**
 * What runs when a packet of some name arrives. Extend it, and hand an instance to `bindAction`.
 *
 * @example
 * ```ts
 * import { Bind, Server } from "@pnetwork/pnetwork";
 *
 * class Greet extends Bind<{ name: string }, string> {
 *   run(data: { name: string }) {
 *     return `hello ${data.name}`;
 *   }
 * }
 * new Server().bindAction("greet", new Greet("greeter"));
 * ```
 */
export abstract class Bind<Data = unknown, Reply = unknown> {
  /** The bind's own name, for people. */
  readonly name: string;
  /** What else the constructor was given. */
  readonly args: readonly unknown[];
  /**
   * What data must look like before it reaches {@linkcode Bind.run}. Data that does not pass is
   * answered with `INVALID_DATA` and the paths at fault.
   */
  readonly schema?: Schema<Data>;
  /** For the type checker alone: tells binds of other data or another reply apart. */
  declare readonly "~types"?: { data: (data: Data) => void; reply: Reply };

  /**
   * Makes a bind.
   *
   * @param name The bind's own name, for people.
   * @param args Whatever a subclass wants to know.
   * @throws {TypeError} If the name is no string.
   */
  constructor(name: string, ...args: unknown[]) {
    if (typeof name !== "string") {
      throw new TypeError(`A bind's name must be a string, got ${describe(name)}`);
    }
    this.name = name;
    this.args = args;
  }

  /**
   * Runs when a packet arrives.
   *
   * @param data What the sender put there; if there is a schema, what the schema made of it.
   * @param packet The packet as it arrived.
   * @param connection The peer that it came from.
   * @returns The reply, for a sender that wants one: any JSON; `undefined` is sent as `null`.
   */
  abstract run(
    data: Data,
    packet: ReceivedPacket,
    // deno-lint-ignore no-explicit-any -- a subclass may say which contract it is for
    connection: Peer<any>,
  ): Reply | Promise<Reply>;
}

/** A bind as the table takes it: whatever it checks, it takes this data and gives this reply. */
export type BindOf<Data, Reply> =
  & Pick<Bind<Data, Reply>, "name" | "run" | "~types">
  & { readonly schema?: Schema };

/** What may be returned to this name: anything, where nobody is promised a reply. */
export type ReturnFor<Actions, Name extends keyof Actions> = Actions[Name] extends
  readonly [unknown, infer Reply] ? Reply : unknown;

/** What may be bound to this name. */
export type BindFor<Actions, Name extends keyof Actions, C extends Contract> = unknown extends
  DataOf<Actions, Name>
  // deno-lint-ignore no-explicit-any -- a bind says for itself which data it takes
  ? BindOf<any, unknown> | ActionFunction<unknown, unknown, C>
  :
    | BindOf<DataOf<Actions, Name>, ReturnFor<Actions, Name>>
    | ActionFunction<DataOf<Actions, Name>, ReturnFor<Actions, Name>, C>;

/** How a name is bound. */
export interface BindOptions {
  /**
   * Whether only sealed packets are taken: `run` gets what they held.
   *
   * @default {false}
   */
  sealed?: boolean;
}

/** Hands a packet that passed over. */
export type Run = (packet: ReceivedPacket, connection: Peer) => unknown;

/** Opens sealed data before it is checked and handed over. */
export type Open = (packet: ReceivedPacket) => Promise<unknown>;

interface Action {
  readonly name: string;
  readonly schema?: Schema;
  run(data: unknown, packet: ReceivedPacket, connection: Peer): unknown;
}

interface Bound {
  readonly action: Action;
  readonly open?: Open;
  /** For data that need neither be opened nor checked: made once, and not for each packet. */
  readonly run: Run;
}

/** One row of {@linkcode ActionTable.list}. */
export interface ActionInfo {
  /** The name that packets call; `*` for the fallback. */
  action: string;
  /** The bind's own name. */
  bind: string;
  /** Whether a schema checks the data. */
  hasSchema: boolean;
  /** Whether the data must be sealed. */
  isSealed: boolean;
}

/** Which name runs what. */
export class ActionTable {
  // A Map, so that `__proto__` and `constructor` are names like any other.
  readonly #bound = new Map<string, Bound>();
  #fallback: Bound | undefined;

  /**
   * Binds a name. What was bound to it before no longer is.
   *
   * @throws {TypeError} If the name cannot be an action's, or `bind` is neither a `Bind` nor a
   * function.
   */
  bind(
    name: string,
    // deno-lint-ignore no-explicit-any -- a bind says for itself which data it takes
    bind: BindOf<any, unknown> | ActionFunction<any, unknown, any>,
    open?: Open,
  ): void {
    checkActionName(name);
    this.#bound.set(name, toBound(name, bind, open));
  }

  /** Binds every name that nothing else is bound to. Throws like {@linkcode ActionTable.bind}. */
  // deno-lint-ignore no-explicit-any -- see above
  bindFallback(bind: BindOf<any, unknown> | ActionFunction<any, unknown, any>): void {
    this.#fallback = toBound("*", bind);
  }

  /** What is bound, by name. */
  list(): ActionInfo[] {
    const rows = [...this.#bound];
    if (this.#fallback) rows.push(["*", this.#fallback]);
    return rows.map(([name, { action, open }]) => ({
      action: name,
      bind: action.name,
      hasSchema: !!action.schema,
      isSealed: !!open,
    }));
  }

  /**
   * Finds what is bound to a packet's name and checks its data.
   *
   * @returns What runs it; a promise only where the schema is asynchronous.
   * @throws {RequestError} `NO_ACTION`, `INVALID_DATA`.
   */
  prepare(packet: ReceivedPacket): Run | Promise<Run> {
    const bound = this.#bound.get(packet.action) ?? this.#fallback;
    if (!bound) throw new RequestError("NO_ACTION", "nothing is bound to that action");
    const { action, open, run } = bound;
    if (open) return open(packet).then((data) => check(action, data));
    return action.schema ? check(action, packet.data) : run;
  }
}

function check(action: Action, data: unknown): Run | Promise<Run> {
  const run = (checked: unknown): Run => (packet, connection) =>
    action.run(checked, packet, connection);
  if (!action.schema) return run(data);
  const result = action.schema["~standard"].validate(data);
  const accept = (result: SchemaResult<unknown>): Run => {
    if (result.issues) throw new RequestError("INVALID_DATA", invalidDataMessage(result.issues));
    return run(result.value);
  };
  // Not every library's promise is the platform's.
  return "then" in result ? Promise.resolve(result).then(accept) : accept(result);
}

function toBound(
  name: string,
  // deno-lint-ignore no-explicit-any -- see ActionTable.bind
  bind: BindOf<any, unknown> | ActionFunction<any, unknown>,
  open?: Open,
): Bound {
  const action = toAction(name, bind);
  return { action, open, run: (packet, connection) => action.run(packet.data, packet, connection) };
}

function toAction(
  name: string,
  // deno-lint-ignore no-explicit-any -- see ActionTable.bind
  bind: BindOf<any, unknown> | ActionFunction<any, unknown>,
): Action {
  if (typeof bind === "function") return { name: bind.name || name, run: bind };
  if (bind === null || typeof bind !== "object" || typeof bind.run !== "function") {
    throw new TypeError(`What is bound must be a Bind or a function, got ${describe(bind)}`);
  }
  const { schema } = bind;
  if (schema !== undefined && typeof schema["~standard"]?.validate !== "function") {
    throw new TypeError("A bind's schema must follow Standard Schema v1");
  }
  return bind;
}

/** Names the places, never the values: messages of a schema may quote either side's data. */
function invalidDataMessage(issues: readonly SchemaIssue[]): string {
  const paths = issues.slice(0, 8).map(({ path = [] }) =>
    path.map((part) => String(typeof part === "object" ? part.key : part)).join(".") ||
    "(all of it)"
  );
  return `data is not valid at: ${[...new Set(paths)].join(", ")}`;
}
