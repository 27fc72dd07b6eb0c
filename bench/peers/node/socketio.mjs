/**
 * Socket.IO: what its server does, whatever it runs on.
 *
 * @module
 */

/** @param {import("socket.io").Server} io */
export function serve(io) {
  let handled = 0;
  let last;
  io.on("connection", (socket) => {
    socket.on("echo", (data, reply) => reply(data));
    socket.on("note", (data) => {
      handled++;
      last = data;
    });
    socket.on("count", (reply) => {
      reply({ handled, last });
      handled = 0;
    });
    socket.on("burst", ({ packets, data }) => {
      for (let n = 0; n < packets; n++) io.emit("tick", data);
    });
  });
}
