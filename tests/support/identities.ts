/**
 * Who is who in tests of secure connections.
 *
 * @module
 */

import { createIdentity, Identity } from "../../mod.ts";
import openssl from "../unit/vectors/identity_openssl.json" with { type: "json" };

/** The server's: the same in each process. */
export const SERVER: Identity = await Identity.import(openssl.identity);

/** The client's: another one in each process. */
export const CLIENT: Identity = await createIdentity();
