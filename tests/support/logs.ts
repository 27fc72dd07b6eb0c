/**
 * What the code under test logs.
 *
 * @module
 */

import { assertEquals, assertFalse } from "@std/assert";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import { sanitize } from "../../mod.ts";

/** Records of everything that is logged while it exists. */
export class Logs implements AsyncDisposable {
  /** All records so far. */
  readonly records: LogRecord[] = [];

  /** Begins to record. */
  static async capture(): Promise<Logs> {
    const logs = new Logs();
    await configure({
      reset: true,
      sinks: { records: (record: LogRecord) => logs.records.push(record) },
      loggers: [
        { category: ["logtape", "meta"], sinks: [], lowestLevel: "error" },
        { category: ["pnetwork"], sinks: ["records"], lowestLevel: "trace" },
      ],
    });
    return logs;
  }

  /** The records of this level. */
  of(level: LogRecord["level"]): LogRecord[] {
    return this.records.filter((record) => record.level === level);
  }

  /** Everything that a sink could show of all records, errors with their causes and stacks. */
  get text(): string {
    return this.records.map(textOf).join("\n");
  }

  /** Checks that nothing was logged as an error. */
  assertNoErrors(): void {
    assertEquals(this.of("error").concat(this.of("fatal")).map(textOf), []);
  }

  /** Checks that what was logged cannot move a cursor, reorder a line or end it. */
  assertIsSafe(): void {
    for (const { message, properties } of this.records) {
      for (const part of [...message, ...Object.values(properties)]) {
        if (typeof part === "string") assertEquals(part, sanitize(part));
      }
    }
  }

  /** Checks that none of these appears anywhere. */
  assertLacks(...secrets: string[]): void {
    for (const secret of secrets) assertFalse(this.text.includes(secret), "a secret was logged");
  }

  /** Records no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await reset();
  }
}

function textOf({ level, message, properties }: LogRecord): string {
  const shown = message.map((part) => typeof part === "string" ? part : Deno.inspect(part)).join(
    "",
  );
  return `${level}: ${shown} ${Deno.inspect(properties, { depth: 8 })}`;
}
