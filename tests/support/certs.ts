/**
 * Certificates for `localhost` and `127.0.0.1`, made by openssl, valid from 2020 to 2120 but for one.
 *
 * @module
 */

function read(name: string): string {
  return Deno.readTextFileSync(new URL(`certs/${name}.pem`, import.meta.url));
}

/** Signed by itself, and no authority. */
export const ONE = { cert: read("one.cert"), key: read("one.key") };

/** Another one. */
export const TWO = { cert: read("two.cert"), key: read("two.key") };

/** Whoever has signed the next two. */
export const AUTHORITY = read("authority.cert");

/** Signed by the authority. */
export const SIGNED = { cert: read("signed.cert"), key: read("signed.key") };

/** Signed by the authority for a year that is over. */
export const EXPIRED = { cert: read("expired.cert"), key: read("signed.key") };
