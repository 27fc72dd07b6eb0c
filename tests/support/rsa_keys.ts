/**
 * RSA keys of 2,048 bits, made by openssl once: making them takes longer than most tests.
 *
 * @module
 */

import { EncryptKeys } from "../../crypto.ts";
import ada from "./keys/ada.pem" with { type: "text" };
import eve from "./keys/eve.pem" with { type: "text" };

/** Someone's. */
export const ADA: EncryptKeys = await EncryptKeys.import(ada);

/** Someone else's. */
export const EVE: EncryptKeys = await EncryptKeys.import(eve);
