/**
 * Ways to break what keeps others out of secure and TLS connections, and the tests that must notice.
 *
 * @module
 */

import type { Mutant } from "./mutant_list.ts";

const BYTE_QUEUE_TEST = "tests/unit/byte_queue_test.ts";
const IDENTITY_TEST = "tests/unit/identity_test.ts";
const SERVER_CHECK_TEST = "tests/unit/server_check_test.ts";
const CHANNEL_TEST = "tests/unit/secure_channel_test.ts";
const BAD_INPUT_TEST = "tests/integration/secure_bad_input_test.ts";
const TAMPERING_TEST = "tests/integration/secure_tampering_test.ts";
const SECURE_WIRE_TEST = "tests/integration/secure_wire_test.ts";
const TLS_TEST = "tests/integration/tls_test.ts";
const TLS_STRANGERS_TEST = "tests/integration/tls_strangers_test.ts";
const TLS_TRANSPORT_TEST = "tests/unit/tls_transport_test.ts";
const FINAL_END_TEST = "tests/integration/final_end_test.ts";
const NOISE_TEST = "tests/unit/noise_test.ts";

/** All of them. */
export const SECURE_MUTANTS: readonly Mutant[] = [
  {
    name: "secure: each byte moves all that wait",
    file: "byte_queue.ts",
    from: "Math.max(needed, MIN_BYTES, this.#bytes.length * 2)",
    to: "needed",
    caughtBy: [BYTE_QUEUE_TEST],
  },
  {
    name: "secure: an error quotes the key",
    file: "identity.ts",
    from: `throw new TypeError("An identity must be a private key of X25519 in PKCS #8, as PEM");`,
    to: "throw new TypeError(`An identity must be a private key, got ${pem}`);",
    caughtBy: [IDENTITY_TEST],
  },
  {
    name: "secure: an identity shows its keys",
    file: "identity.ts",
    from: "return { fingerprint: this.fingerprint };",
    to: "return { fingerprint: this.fingerprint, keys: this.#keys };",
    caughtBy: [IDENTITY_TEST],
  },
  {
    name: "secure: whatever a pin answers is a yes",
    file: "server_check.ts",
    from: "if (await decide(fingerprint) === true) return;",
    to: "if (await decide(fingerprint)) return;",
    caughtBy: [SERVER_CHECK_TEST],
  },
  {
    name: "secure: no pin is one too",
    file: "server_check.ts",
    from: "if (pins.length === 0 || !pins.every(isFingerprint)) {",
    to: "if (pins.length === 0) {",
    caughtBy: [SERVER_CHECK_TEST, TLS_TEST],
  },
  {
    name: "secure: pins may be changed later",
    file: "server_check.ts",
    from: "Array.isArray(pin) ? [...pin] : [pin]",
    to: "Array.isArray(pin) ? pin : [pin]",
    caughtBy: [SERVER_CHECK_TEST],
  },
  {
    name: "secure: the server's key is not checked",
    file: "secure_channel.ts",
    from: "await check(fingerprint);",
    to: "",
    caughtBy: [CHANNEL_TEST, BAD_INPUT_TEST, SECURE_WIRE_TEST],
  },
  {
    name: "secure: the server's key is checked when the client has told its own",
    file: "secure_channel.ts",
    from: "await check(fingerprint);\n  await lines.write(toLine(await handshake.write()));",
    to: "await lines.write(toLine(await handshake.write()));\n  await check(fingerprint);",
    caughtBy: [CHANNEL_TEST, BAD_INPUT_TEST, SECURE_WIRE_TEST],
  },
  {
    name: "secure: base64 that is not canonical is taken",
    file: "secure_channel.ts",
    from: "if (bytes.toBase64() !== line) throw failed();",
    to: "",
    caughtBy: [CHANNEL_TEST, BAD_INPUT_TEST],
  },
  {
    name: "secure: a line of the handshake may be of any length",
    file: "secure_channel.ts",
    from: "(end === -1 ? this.rest.length : end) > MAX_LINE_BYTES",
    to: "(end === -1 ? this.rest.length : end) > 1e9",
    caughtBy: [CHANNEL_TEST],
  },
  {
    name: "secure: both sides need not have seen the same offer",
    file: "secure_channel.ts",
    from: "await begin(identity, encoder.encode(offer), false);",
    to: "await begin(identity, encoder.encode(OFFER), false);",
    caughtBy: [CHANNEL_TEST],
  },
  {
    name: "secure: an offer of another version is one",
    file: "secure_channel.ts",
    from: "version === 1 && protocol === PROTOCOL",
    to: "protocol === PROTOCOL",
    caughtBy: [CHANNEL_TEST],
  },
  {
    name: "secure: an offer of another protocol is one",
    file: "secure_channel.ts",
    from: "version === 1 && protocol === PROTOCOL",
    to: "version === 1",
    caughtBy: [CHANNEL_TEST],
  },
  {
    name: "secure: anyone may refuse a client for good",
    file: "secure_channel.ts",
    from: ` && error.code !== "REFUSED"`,
    to: "",
    caughtBy: [CHANNEL_TEST, BAD_INPUT_TEST],
  },
  {
    name: "secure: a reset in the handshake is final",
    file: "secure_channel.ts",
    from: `throw new ConnectionError("CONNECTION_LOST", "the socket failed", { cause });`,
    to: "throw cause;",
    caughtBy: [TAMPERING_TEST],
  },
  {
    name: "secure: a channel that has failed goes on",
    file: "secure_channel.ts",
    from: "this.#hasFailed = true;",
    to: "",
    caughtBy: [CHANNEL_TEST],
  },
  {
    name: "secure: what is wrong is told",
    file: "secure_channel.ts",
    from: `    return await act();
  } catch {
    throw failed();`,
    to: `    return await act();
  } catch (error) {
    throw error;`,
    caughtBy: [CHANNEL_TEST],
  },
  {
    name: "secure: a record that stands still is waited for",
    file: "secure_channel.ts",
    from: "return this.#received.length;",
    to: "return 0;",
    caughtBy: [BAD_INPUT_TEST],
  },
  {
    name: "secure: a record that comes slowly makes no progress",
    file: "wire.ts",
    from: "this.#partialLine.progress += this.#partialBytes - before;",
    to: "",
    caughtBy: [BAD_INPUT_TEST],
  },
  {
    name: "secure: one side goes on with the old key",
    file: "secure_channel.ts",
    from: "if (receiving.nonce % REKEY_RECORDS === 0n) await receiving.rekey();",
    to: "",
    caughtBy: [CHANNEL_TEST],
  },
  {
    name: "secure: neither side changes its key",
    file: "secure_channel.ts",
    from: "const REKEY_RECORDS = 65_536n;",
    to: "const REKEY_RECORDS = 65_536_000n;",
    caughtBy: [CHANNEL_TEST],
  },
  {
    name: "secure: a record is cut short in writing",
    file: "secure_channel.ts",
    from: "for (let at = 0; at < bytes.length;) at += await transport.write(bytes.subarray(at));",
    to: "await transport.write(bytes);",
    caughtBy: [CHANNEL_TEST],
  },
  {
    name: "secure: a record may be larger than can be",
    file: "secure_channel.ts",
    from: "bytes.subarray(0, MAX_PAYLOAD_BYTES) as Bytes",
    to: "bytes.subarray(0, MAX_PAYLOAD_BYTES + 1) as Bytes",
    caughtBy: [CHANNEL_TEST],
  },
  {
    name: "secure: a record may come again",
    file: "noise.ts",
    from: "iv: ivOf(this.#nonce++), additionalData",
    to: "iv: ivOf(this.#nonce), additionalData",
    caughtBy: [CHANNEL_TEST, NOISE_TEST],
  },
  {
    name: "secure: a token is enough to take over another key's session",
    file: "server.ts",
    from: "return connection.fingerprint === fingerprint ? connection : undefined;",
    to: "return connection;",
    caughtBy: [SECURE_WIRE_TEST],
  },
  {
    name: "secure: authenticate does not see the key",
    file: "admission.ts",
    from: "this.#letIn(hello, { address: wire.address, fingerprint, signal });",
    to: "this.#letIn(hello, { address: wire.address, fingerprint: undefined, signal });",
    caughtBy: [SECURE_WIRE_TEST],
  },
  {
    name: "secure: a client has another key each time",
    file: "server_check.ts",
    from: "made ??= own",
    to: "made = own",
    caughtBy: [SERVER_CHECK_TEST, SECURE_WIRE_TEST],
  },
  {
    name: "secure: a client tries again where the key is another one",
    file: "dial.ts",
    from: `  "UNTRUSTED_PEER",\n`,
    to: "",
    caughtBy: [BAD_INPUT_TEST, TLS_TEST],
  },
  {
    name: "secure: the deadline does not cover the channel on a server",
    file: "admission.ts",
    from: "return await abortable(acceptSecurely(transport, identity), signal);",
    to: "return await acceptSecurely(transport, identity);",
    caughtBy: [SECURE_WIRE_TEST],
  },
  {
    name: "secure: the deadline does not cover the channel on a client",
    file: "dial.ts",
    from: "return await abortable(securing, signal);",
    to: "return await securing;",
    caughtBy: [SECURE_WIRE_TEST],
  },
  {
    name: "secure: a client that gives up leaves its socket open",
    file: "dial.ts",
    from: "  } catch (error) {\n    transport.close();\n    throw error;",
    to: "  } catch (error) {\n    throw error;",
    caughtBy: [SECURE_WIRE_TEST, BAD_INPUT_TEST],
  },
  {
    name: "tls: the deadline does not cover TLS on a server",
    file: "admission.ts",
    from: "await abortable(acceptTls(transport, certificate), signal)",
    to: "await acceptTls(transport, certificate)",
    caughtBy: [TLS_TEST],
  },
  {
    name: "tls: the deadline does not cover TLS on a client",
    file: "transport.ts",
    from: "await abortable(tls.handshake(), signal);",
    to: "await tls.handshake();",
    caughtBy: [TLS_TEST],
  },
  {
    name: "tls: a client does not wait until it knows the server",
    file: "transport.ts",
    from: "await abortable(tls.handshake(), signal);",
    to: "",
    caughtBy: [TLS_TEST],
  },
  {
    name: "tls: what is sent is held back",
    file: "transport.ts",
    from: "// What comes of it does not offer this any more.\n    tcp.setNoDelay(true);",
    to: "",
    caughtBy: [TLS_TEST],
  },
  {
    name: "tls: an alert ends a client for good",
    file: "dial.ts",
    from: "/invalid peer certificate/i",
    to: "/certificate/i",
    caughtBy: [TLS_TEST],
  },
  {
    name: "tls: a caCerts that is none is passed over",
    file: "options.ts",
    from: `value.includes("-----BEGIN CERTIFICATE-----")`,
    to: "true",
    caughtBy: [TLS_TEST],
  },
  {
    name: "tls: it goes with secure",
    file: "options.ts",
    from: "if (secure !== undefined || path !== undefined) {",
    to: "if (path !== undefined) {",
    caughtBy: [TLS_TEST],
  },
  {
    name: "tls: without a certificate a port becomes a plain one",
    file: "server.ts",
    from: `    checkOptions(tls);
    const next`,
    to: "    const next",
    caughtBy: [TLS_TEST],
  },
  {
    name: "tls: a certificate is not tried before it is shown",
    file: "tls_transport.ts",
    from: `client.once("secureConnect", resolve);`,
    to: "resolve(undefined);",
    caughtBy: [TLS_TEST],
  },
  {
    name: "tls: a stranger who is given up keeps the socket",
    file: "admission.ts",
    from: "if (this.#parts.certificate()) return transport.close();",
    to: "if (this.#parts.certificate()) return;",
    caughtBy: [TLS_STRANGERS_TEST],
  },
  {
    name: "tls: a cut is taken for an end",
    file: "tls_transport.ts",
    from: `if (!chunk) throw new Error("the socket has ended in the middle of TLS");`,
    to: "if (!chunk) return this.#socket.push(null);",
    caughtBy: [TLS_TRANSPORT_TEST],
  },
  {
    name: "tls: an end is taken for a cut",
    file: "tls_transport.ts",
    from: "await nextTurn();\n      if (",
    to: "if (",
    caughtBy: [TLS_TRANSPORT_TEST],
  },
  {
    name: "tls: a socket that ends after that was said has failed",
    file: "tls_transport.ts",
    from: "if (!this.#hasEnded || !this.#isSecure) this.#fail(error);",
    to: "this.#fail(error);",
    caughtBy: [TLS_TRANSPORT_TEST],
  },
  {
    name: "tls: what comes before the platform has begun is pushed at once",
    file: "tls_transport.ts",
    from: "await nextTurn();\n    while",
    to: "while",
    caughtBy: [TLS_TRANSPORT_TEST],
  },
  {
    name: "tls: it reads on without being asked",
    file: "tls_transport.ts",
    from: "this.#socket.push(chunk.slice());",
    to:
      "this.#socket.push(chunk.slice());\n      queueMicrotask(() => this.#isReading || this.#readOnce());",
    caughtBy: [TLS_TRANSPORT_TEST],
  },
  {
    name: "tls: a write outlives its socket",
    file: "tls_transport.ts",
    from: "this.#failWrite(this.#failure);",
    to: "",
    caughtBy: [TLS_TRANSPORT_TEST],
  },
  {
    name: "tls: a client that stops for good tells those who wait something else",
    file: "close_info.ts",
    from: `if (code === "UNTRUSTED_PEER") return new CryptoError(code, reason);`,
    to: "",
    caughtBy: [FINAL_END_TEST],
  },
];
