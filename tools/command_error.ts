/**
 * What a console says of a command that cannot be run.
 *
 * @module
 */

/** A command that was not typed as it must be, or cannot be done here: said in one line. */
export class CommandError extends Error {}
