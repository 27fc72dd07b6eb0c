import { assertEquals } from "@std/assert";
import { AddressCounts, addressKey } from "../../addresses.ts";

function key(hostname: string, exemptLoopback = false): string | undefined {
  return addressKey({ transport: "tcp", hostname, port: 5 }, exemptLoopback);
}

Deno.test("an IPv4 address counts as itself, also where it comes as an IPv6 one", () => {
  assertEquals(key("192.0.2.7"), "192.0.2.7");
  assertEquals(key("::ffff:192.0.2.7"), "192.0.2.7");
  assertEquals(key("::FFFF:192.0.2.7"), "192.0.2.7");
});

Deno.test("an IPv6 address counts as its /64, however it is written", () => {
  const same = [
    "2001:db8:0:7::",
    "2001:db8::7:0:0:0:1",
    "2001:db8:0:7::1",
    "2001:0db8:0000:0007:0000:0000:0000:0001",
    "2001:DB8:0:7:ffff:ffff:ffff:ffff",
    "2001:db8:0:7::1%eth0",
  ];
  for (const address of same) assertEquals(key(address), "2001:db8:0:7::/64", address);
  assertEquals(key("2001:db8:0:8::1"), "2001:db8:0:8::/64");
  assertEquals(key("2001:db8::"), "2001:db8:0:0::/64");
  assertEquals(key("::"), "0:0:0:0::/64");
  assertEquals(key("::7:0:0:0:0"), "0:0:0:7::/64");
  assertEquals(key("1:2:3:4:5:6:7::"), "1:2:3:4::/64");
  assertEquals(key("::2:3:4:5:6:7:8"), "0:2:3:4::/64");
  assertEquals(key("fe80::1%lo"), "fe80:0:0:0::/64");
});

Deno.test("loopback is counted only where it is asked for", () => {
  for (const address of ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"]) {
    assertEquals(key(address, true), undefined, address);
  }
  assertEquals(key("127.0.0.1"), "127.0.0.1");
  assertEquals(key("::1"), "0:0:0:0::/64");
});

Deno.test("what only looks like loopback is counted", () => {
  for (const address of ["128.0.0.1", "12.7.0.1", "1.127.0.0", "::2", "::1:1"]) {
    assertEquals(key(address, true), key(address), address);
  }
  assertEquals(key("127.evil.example", true), "127.evil.example");
});

Deno.test("Unix sockets are not counted", () => {
  assertEquals(addressKey({ transport: "unix", path: "/run/x.sock" }, false), undefined);
});

Deno.test("an address is counted up and down, and forgotten at none", () => {
  const counts = new AddressCounts();
  assertEquals(counts.of("a"), 0);
  counts.add("a");
  counts.add("a");
  counts.add("b");
  assertEquals([counts.of("a"), counts.of("b")], [2, 1]);
  counts.remove("a");
  counts.remove("b");
  assertEquals([counts.of("a"), counts.of("b")], [1, 0]);
  counts.remove("b");
  counts.add("b");
  assertEquals(counts.of("b"), 1);
});

Deno.test("what is not counted is none however often it comes", () => {
  const counts = new AddressCounts();
  counts.add(undefined);
  counts.remove(undefined);
  counts.remove(undefined);
  counts.add(undefined);
  assertEquals(counts.of(undefined), 0);
  assertEquals(counts.of("undefined"), 0);
});

Deno.test("all are counted together, wherever they come from", () => {
  const counts = new AddressCounts();
  for (const key of ["a", "a", "b", undefined]) counts.add(key);
  assertEquals(counts.total, 4);
  counts.remove("a");
  counts.remove(undefined);
  assertEquals([counts.total, counts.of("a")], [2, 1]);
});
