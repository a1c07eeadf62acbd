import { type Key, type Prefix, type Row, type Storage, type Table, TABLES, type Transaction } from "./storage.js";

const VERSION = 1;

/** A storage in IndexedDB, for browsers and web views. */
export class IndexedDbStorage implements Storage {
  readonly #database: IDBDatabase;

  private constructor(database: IDBDatabase) {
    this.#database = database;
  }

  /**
   * Opens the database of this name, and makes it if there is none.
   *
   * @throws DOMException when it cannot be opened, or a newer version of this package has written it (`VersionError`).
   */
  static async open(name: string, factory: IDBFactory = indexedDB): Promise<IndexedDbStorage> {
    const request = factory.open(name, VERSION);
    request.onupgradeneeded = () => {
      for (const table of TABLES) {
        request.result.createObjectStore(table);
      }
    };
    return new IndexedDbStorage(await answered(request));
  }

  async transaction<R>(work: (transaction: Transaction) => Promise<R>): Promise<R> {
    const transaction = this.#database.transaction(TABLES, "readwrite", { durability: "strict" });
    const ended = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new DOMException("the transaction was aborted", "AbortError"));
    });
    ended.catch(() => undefined); // it is heard of below, but perhaps later than the platform expects
    try {
      const result = await work(new IndexedDbTransaction(transaction));
      await ended;
      return result;
    } catch (error) {
      abort(transaction);
      throw transaction.error ?? error;
    }
  }

  /** Closes the connection once what is under way has ended. */
  close(): void {
    this.#database.close();
  }
}

class IndexedDbTransaction implements Transaction {
  readonly #transaction: IDBTransaction;

  constructor(transaction: IDBTransaction) {
    this.#transaction = transaction;
  }

  async get<T extends Table>(table: T, key: Key<T>): Promise<Row<T> | undefined> {
    const row: IDBRequest<Row<T> | undefined> = this.#transaction.objectStore(table).get([...key]);
    return await answered(row);
  }

  async list<T extends Table>(table: T, ...prefix: Prefix<Key<T>>): Promise<[Key<T>, Row<T>][]> {
    const store = this.#transaction.objectStore(table);
    const parts: IDBValidKey[] = [...prefix];
    // An array sorts behind every number and text, so this is behind all keys that begin with these parts.
    const range = IDBKeyRange.bound(parts, [...parts, []]);
    const [keys, rows] = await Promise.all([answered(store.getAllKeys(range)), answered(store.getAll(range))]);
    return keys.map((key, place): [Key<T>, Row<T>] => [key as unknown as Key<T>, rows[place] as Row<T>]);
  }

  put<T extends Table>(table: T, key: Key<T>, row: Row<T>): void {
    this.#transaction.objectStore(table).put(row, [...key]);
  }

  remove<T extends Table>(table: T, key: Key<T>): void {
    this.#transaction.objectStore(table).delete([...key]);
  }
}

function answered<V>(request: IDBRequest<V>): Promise<V> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new DOMException("the request failed", "UnknownError"));
  });
}

/** Takes back what a transaction wrote, unless it has ended by itself. */
function abort(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {
    // It has ended already.
  }
}
