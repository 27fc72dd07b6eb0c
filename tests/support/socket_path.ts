/**
 * Where a Unix socket may be put.
 *
 * @module
 */

/** Lends a path that nothing is at. */
export async function withSocketPath(act: (path: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await act(`${dir}/test.sock`);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
