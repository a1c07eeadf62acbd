import { IDBFactory, IDBKeyRange } from "fake-indexeddb";

import { IndexedDbStorage } from "../src/indexeddb.js";
import { MemoryStorage } from "../src/memory.js";
import type { Storage } from "../src/storage.js";

globalThis.IDBKeyRange = IDBKeyRange;

/** A kind of storage: one place of its own, and how the storage there is opened, again and again. */
export interface Place {
  open(): Promise<Storage>;
}

/** Every kind of storage by its name, as something that makes a fresh place. */
export const STORAGES: ReadonlyMap<string, () => Place> = new Map([
  ["memory", memory],
  ["indexeddb", indexedDb],
]);

function memory(): Place {
  const storage = new MemoryStorage();
  return { open: async () => storage };
}

/** The database is opened anew each time; the connection before is closed. */
function indexedDb(): Place {
  const factory = new IDBFactory();
  let before: IndexedDbStorage | undefined;
  return {
    open: async () => {
      before?.close();
      before = await IndexedDbStorage.open("device", factory);
      return before;
    },
  };
}
