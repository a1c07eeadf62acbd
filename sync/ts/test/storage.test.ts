import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { Member } from "../src/bucket.js";
import { STORAGES } from "./storages.js";

const OUTLETS = "2@territory:north";
const member = (version: bigint): Member => ({ version, hash: 2n ** 64n - 1n });

for (const [name, fresh] of STORAGES) {
  describe(`${name} storage`, () => {
    test("keeps what a transaction wrote", async () => {
      const place = fresh();
      await (await place.open()).transaction(async (tx) => {
        tx.put("member", [OUTLETS, "01"], member(1n));
        assert.deepEqual(await tx.get("member", [OUTLETS, "01"]), member(1n), "reads see what it wrote");
        tx.put("replica", [], { position: undefined, scopeDigest: 7n });
      });
      await (await place.open()).transaction(async (tx) => {
        assert.deepEqual(await tx.get("member", [OUTLETS, "01"]), member(1n));
        assert.deepEqual(await tx.get("replica", []), { position: undefined, scopeDigest: 7n });
        assert.equal(await tx.get("document", ["01"]), undefined);
      });
    });

    test("keeps nothing of a transaction that failed", async () => {
      const storage = await fresh().open();
      await storage.transaction(async (tx) => tx.put("member", [OUTLETS, "01"], member(1n)));
      const failed = storage.transaction(async (tx) => {
        tx.put("member", [OUTLETS, "02"], member(2n));
        tx.remove("member", [OUTLETS, "01"]);
        throw new RangeError("the app has a fault");
      });
      await assert.rejects(failed, RangeError);
      const rows = await storage.transaction((tx) => tx.list("member"));
      assert.deepEqual(rows, [[[OUTLETS, "01"], member(1n)]]);
    });

    test("lists what begins with a key, in order", async () => {
      const storage = await fresh().open();
      await storage.transaction(async (tx) => {
        for (const page of [10, 2, 0]) {
          tx.put("page", [OUTLETS, page], Uint8Array.of(page));
        }
        tx.put("page", [`${OUTLETS}-west`, 1], Uint8Array.of(1));
        tx.remove("page", [OUTLETS, 0]);
        const pages = await tx.list("page", OUTLETS);
        assert.deepEqual(pages, [[[OUTLETS, 2], Uint8Array.of(2)], [[OUTLETS, 10], Uint8Array.of(10)]]);
        assert.equal((await tx.list("page")).length, 3);
      });
    });
  });
}
