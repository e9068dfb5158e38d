// A tenant's channel leads to the Internet, and nowhere else, however its address is spelt.
import { describe, expect, it, vi } from "vitest";
import { checkTarget, isPublic } from "../../../functions/alerts/addresses.ts";

describe("A private address", () => {
  it.each([
    ...["0.0.0.0", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.255"],
    ...[
      "169.254.169.254",
      "172.16.0.1",
      "172.31.255.255",
      "192.0.0.192",
      "192.0.2.1",
      "192.168.1.1",
    ],
    ...["198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"],
    ...[
      "168.63.129.16",
      "::",
      "::1",
      "fc00::1",
      "fd00:ec2::254",
      "fe80::1",
      "fe80::1%eth0",
      "fec0::1",
    ],
    ...[
      "::ffff:10.0.0.1",
      "::ffff:7f00:1",
      "::10.0.0.1",
      "64:ff9b::a00:1",
      "2002:a00:1::",
      "ff02::1",
    ],
    ...["2001:db8::1", "2001::1", "100::1", "1::1", "4000::1", "5f00::1", "nonsense", ""],
  ])("is %s", (address) => {
    expect(isPublic(address)).toBe(false);
  });

  it.each([
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "192.169.0.1",
    "2606:4700::1111",
    "::ffff:1.1.1.1",
  ])("is not %s", (address) => {
    expect(isPublic(address)).toBe(true);
  });
});

const PUBLIC = ["1.1.1.1"];

describe("The address of a tenant's channel", () => {
  it.each([
    ["https://127.0.0.1/", "private"],
    ["https://2130706433/", "private"],
    ["https://0x7f000001/", "private"],
    ["https://0177.0.0.1/", "private"],
    ["https://127.1/", "private"],
    ["https://[::1]/", "private"],
    ["https://[::ffff:10.0.0.1]/", "private"],
    ["https://localhost/", "private"],
    ["https://LOCALHOST./", "private"],
    ["https://db.internal/", "private"],
    ["https://printer.local/", "private"],
    ["https://a.localhost:8443/", "private"],
    ["https://1.1.1.1@10.0.0.1/", "name or a password"],
    ["https://user:word@example.com/", "name or a password"],
    ["http://example.com/", "no HTTPS"],
    ["ftp://example.com/", "no HTTPS"],
    ["file:///etc/passwd", "no HTTPS"],
    ["nonsense", "no HTTPS"],
  ])("%s is refused: %s", async (target, why) => {
    const resolve = vi.fn(async () => PUBLIC);
    await expect(checkTarget(target, false, resolve)).rejects.toThrow(why);
    expect(resolve).not.toHaveBeenCalled();
  });

  it("is looked up once: what is connected to is what was checked", async () => {
    const answers = [["1.1.1.1", "2606:4700::1111"], ["10.0.0.1"]];
    const resolve = vi.fn(async () => answers.shift() ?? []);
    const { url, addresses } = await checkTarget(
      "https://hooks.example.com:8443/a?b=c",
      false,
      resolve,
    );
    expect(addresses).toEqual(["1.1.1.1", "2606:4700::1111"]);
    expect(url.href).toBe("https://hooks.example.com:8443/a?b=c");
    expect(resolve.mock.calls).toEqual([["hooks.example.com"]]);
  });

  it("is refused when one of three addresses of its name is private", async () => {
    const resolve = async () => ["1.1.1.1", "10.0.0.1", "8.8.8.8"];
    await expect(checkTarget("https://hooks.example.com", false, resolve)).rejects.toThrow(
      "private",
    );
  });

  it("is not found when its name has no address, or the look-up fails", async () => {
    const none = async () => [];
    const fails = () => Promise.reject(new Error("ENOTFOUND hooks.example.com"));
    for (const resolve of [none, fails]) {
      await expect(checkTarget("https://hooks.example.com", false, resolve)).rejects.toThrow(
        "the channel's host was not found",
      );
    }
  });

  it("may be private, and plain http, where the operator allows that", async () => {
    const { addresses } = await checkTarget("http://127.0.0.1:8080/hook", true);
    expect(addresses).toEqual(["127.0.0.1"]);
    expect((await checkTarget("http://localhost:8080/hook", true)).addresses).toContain(
      "127.0.0.1",
    );
  });
});
