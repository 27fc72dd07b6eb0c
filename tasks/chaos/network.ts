/**
 * The faulty network between the clients and the server: a proxy for each client, and its hand of faults.
 *
 * @module
 */

import {
  type Direction,
  type Faults,
  FaultyProxy,
  type Incident,
  type Link,
} from "../../tests/support/faulty_proxy.ts";
import type { WireName } from "../../tests/support/wires.ts";
import { type Card, type Cell, CELLS, isPassable } from "./deck.ts";
import { Observer } from "./observer.ts";
import { SealedObserver } from "./sealed_observer.ts";

/** More would take too long, byte by byte. */
const MAX_SLICED_BYTES = 2_000;
/** The same of a handshake, which has a deadline. */
const MAX_SLICED_HANDSHAKE_BYTES = 600;
/** What a packet takes in one direction, the replies and acknowledgements that it causes included. */
const BYTES_PER_PACKET = 150;

/** How often each fault happened. */
export type Draws = Record<string, Record<string, Record<string, number>>>;

/** All proxies together. */
export class FaultyNetwork implements AsyncDisposable {
  readonly #routes: Route[];

  private constructor(routes: Route[]) {
    this.#routes = routes;
  }

  /**
   * Begins to listen.
   *
   * @param to The server's port.
   * @param wire What goes by.
   * @param hands The faults of each client.
   * @param packetsPerFault How many packets should pass on average until one happens, by now.
   */
  static async listen(
    to: number,
    wire: WireName,
    hands: Card[][],
    packetsPerFault: () => number,
  ): Promise<FaultyNetwork> {
    return new FaultyNetwork(
      await Promise.all(hands.map((hand) => Route.listen(to, wire, hand, packetsPerFault))),
    );
  }

  /** Where each client's proxy listens. */
  get ports(): number[] {
    return this.#routes.map(({ port }) => port);
  }

  /** The faults that have happened. */
  get happened(): Cell[] {
    return this.#routes.flatMap(({ happened }) => happened);
  }

  /** How many of those let their connection come about: each ends one, and is followed by a resume. */
  get cutConnections(): number {
    return this.happened.filter(isPassable).length;
  }

  /** How many there are still to be that do so. */
  get connectionsToCut(): number {
    return this.#routes.reduce((sum, { hand }) => sum + hand.filter(isPassable).length, 0);
  }

  /** How many happened while packets were unacknowledged in both directions, if that can be known. */
  get unacknowledgedBothWays(): number | undefined {
    return this.#sum(({ unacknowledgedBothWays }) => unacknowledgedBothWays);
  }

  /** Packets that were sent again though the handshake said that they had arrived, if that can be known. */
  get needlessReplays(): number | undefined {
    return this.#sum(({ observer }) => observer.needlessReplays);
  }

  /** Acknowledgements that were lower than one before, if that can be known. */
  get acksBackwards(): number | undefined {
    return this.#sum(({ observer }) => observer.acksBackwards);
  }

  /** How often each fault happened, by kind, phase and direction. */
  get draws(): Draws {
    const draws: Draws = {};
    for (const { kind, phase, direction } of CELLS) {
      ((draws[kind] ??= {})[phase] ??= {})[direction] = 0;
    }
    for (const { kind, phase, direction } of this.happened) draws[kind]![phase]![direction]!++;
    return draws;
  }

  /** Ends all connections but the last of each client. */
  hangUp(): void {
    for (const route of this.#routes) route.hangUp();
  }

  /** Ends all proxies. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const route of this.#routes) await route[Symbol.asyncDispose]();
  }

  #sum(count: (route: Route) => number): number | undefined {
    if (this.#routes.some(({ observer }) => observer instanceof SealedObserver)) return undefined;
    return this.#routes.reduce((sum, route) => sum + count(route), 0);
  }
}

/** The way of one client. */
class Route implements AsyncDisposable {
  /** What goes by. */
  readonly observer: Observer | SealedObserver;
  /** The faults to come, that of now first. */
  readonly hand: Card[];
  /** Those that have happened. */
  readonly happened: Card[] = [];
  unacknowledgedBothWays = 0;

  readonly #packetsPerFault: () => number;
  #proxy!: FaultyProxy;
  #link: Link | undefined;
  /** What is to happen to it. */
  #card: Card | undefined;
  /** Whether its last fault has been arranged. */
  #isDecided = false;
  /** A connection that the client has lost, and the server has not. */
  #halfOpen: Link | undefined;

  private constructor(wire: WireName, hand: Card[], packetsPerFault: () => number) {
    this.observer = wire === "plain" ? new Observer() : new SealedObserver(wire);
    this.hand = [...hand];
    this.#packetsPerFault = packetsPerFault;
  }

  static async listen(
    to: number,
    wire: WireName,
    hand: Card[],
    packetsPerFault: () => number,
  ): Promise<Route> {
    const route = new Route(wire, hand, packetsPerFault);
    route.#proxy = await FaultyProxy.listen({
      to,
      onBytes: (link, direction, bytes) => route.#arrived(link, direction, bytes),
      onIncident: (incident) => route.#incident(incident),
    });
    return route;
  }

  get port(): number {
    return this.#proxy.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy[Symbol.asyncDispose]();
  }

  hangUp(): void {
    for (const link of this.#proxy.links) if (link !== this.#link) link.destroy();
  }

  #arrived(link: Link, direction: Direction, bytes: Uint8Array): void {
    if (link.index < (this.#link?.index ?? 0)) return;
    if (link !== this.#link) this.#begin(link, bytes);
    const { observer } = this;
    const { phase: before, isTakenOver } = observer;
    observer.take(direction, bytes, link.bytes);
    if (observer.isTakenOver && !isTakenOver) this.#takenOver();
    if (observer.phase === before) return;
    if (observer.phase === "answer") this.#answered(link, bytes);
    else this.#decide(link);
  }

  /** The client has sent its first line. */
  #begin(link: Link, bytes: Uint8Array): void {
    if (this.#link) this.observer.cameOut(this.#link.bytes);
    this.observer.beginConnection();
    this.#link = link;
    this.#card = this.hand[0];
    this.#isDecided = false;
    if (this.#card?.phase === "handshake") this.#touchLine(link, this.#card, bytes);
    else if (this.#card?.phase === "answer" && isPassable(this.#card)) {
      link.apply({ toClient: mannerOfHandshake(this.#card) });
    }
  }

  /** The server reads the new connection, and no longer the old one. */
  #takenOver(): void {
    this.#halfOpen?.heal();
    this.#halfOpen = undefined;
  }

  /** The server has begun to answer. */
  #answered(link: Link, bytes: Uint8Array): void {
    const card = this.#card;
    if (card?.phase === "answer" && !isPassable(card)) this.#touchLine(link, card, bytes);
  }

  /** Cuts inside what a side says in the handshake, or lets it arrive in the card's manner. */
  #touchLine(link: Link, card: Card, bytes: Uint8Array): void {
    const { at, direction } = card;
    const length = this.observer.handshakeLength(direction, bytes);
    if (isPassable(card)) return link.apply({ [direction]: mannerOfHandshake(card) });
    this.#isDecided = true;
    link.apply({ [direction]: end(card, Math.floor(at * length)) });
  }

  /** There is traffic both ways: arranges what ends it. */
  #decide(link: Link): void {
    const card = this.#card;
    if (!card || this.#isDecided) return;
    this.#isDecided = true;
    const { kind, at, direction } = card;
    const expected = Math.round(at * 2 * this.#packetsPerFault() * BYTES_PER_PACKET);
    const after = kind === "slices" ? Math.min(expected, MAX_SLICED_BYTES) : expected;
    link.apply({ [direction]: { ...manner(card), ...end(card, after) } });
  }

  #incident({ link, bytes }: Incident): void {
    const card = this.#card;
    if (link !== this.#link?.index || !card || card !== this.hand[0]) return;
    this.hand.shift();
    this.happened.push(card);
    this.observer.cameOut(bytes);
    if (this.observer.isUnacknowledgedBothWays) this.unacknowledgedBothWays++;
    if (card.kind === "takeover") this.#halfOpen = this.#link;
  }
}

/** How bytes go through before the cut. */
function manner({ kind, delayMs }: Card): Faults {
  return kind === "slices" ? { slice: { bytes: 1 } } : kind === "delay" ? { delayMs } : {};
}

/** The same while there is a deadline. */
function mannerOfHandshake(card: Card): Faults {
  const { slice, ...others } = manner(card);
  return slice ? { slice: { ...slice, until: MAX_SLICED_HANDSHAKE_BYTES } } : others;
}

/** What happens after so many bytes. */
function end({ kind, by }: Card, after: number): Faults {
  if (kind === "silence") return { silenceAfter: after };
  if (kind === "takeover") return { cut: { after, by, side: "client" } };
  return { cut: { after, by: kind === "fin" || kind === "reset" ? kind : by } };
}
