/**
 * What the two sides of the chat say to each other. Types only: nothing of it is there at run time.
 *
 * @module
 */

/** By who answers it: what is sent, and what is replied. */
export type Chat = {
  server: {
    join: [room: string, members: string[]];
    say: [text: string];
    members: [null, string[]];
  };
  client: {
    said: [{ who: string; text: string }];
    joined: [{ who: string; room: string }];
    left: [{ who: string; room: string }];
  };
};
