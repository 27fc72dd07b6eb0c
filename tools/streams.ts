/**
 * What the command line reads and writes.
 *
 * @module
 */

/**
 * Standard input, output and error. Those of the process are in `Deno`; a program that runs the command
 * line within its own process may give others. Only those of the process can be terminals.
 */
export interface StandardStreams {
  /** Where commands, lines and answers come from. */
  readonly stdin: {
    /** All of it. */
    readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
    /** Reads what is there, at least one byte; `null` at the end. */
    read(buffer: Uint8Array): Promise<number | null>;
    /** Whether a person types it. */
    isTerminal(): boolean;
  };
  /** Where results go. */
  readonly stdout: {
    /** Writes some of this, at least one byte. */
    write(bytes: Uint8Array): Promise<number>;
    /** The same, at once. */
    writeSync(bytes: Uint8Array): number;
    /** Whether a person looks at it. */
    isTerminal(): boolean;
  };
  /** Where errors go. */
  readonly stderr: {
    /** Writes some of this, at least one byte. */
    writeSync(bytes: Uint8Array): number;
    /** Whether a person looks at it. */
    isTerminal(): boolean;
  };
}
