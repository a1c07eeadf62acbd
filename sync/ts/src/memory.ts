import { type Key, type Prefix, type Row, type Storage, type Table, TABLES, type Transaction } from "./storage.js";

/** A key as text that other keys differ from. */
type KeyText = string;
type Entry<T extends Table> = [Key<T>, Row<T>];
/** The rows of the tables; in a transaction `undefined` stands for one that was taken away. */
type Rows = { [T in Table]: Map<KeyText, Entry<T> | undefined> };

function noRows(): Rows {
  return Object.fromEntries(TABLES.map((table) => [table, new Map()])) as Rows;
}

/** A storage in memory, for tests and as the plainest example of one. It lasts as long as the object. */
export class MemoryStorage implements Storage {
  readonly #rows = noRows();

  async transaction<R>(work: (transaction: Transaction) => Promise<R>): Promise<R> {
    const written = noRows();
    const result = await work(new MemoryTransaction(this.#rows, written));
    for (const table of TABLES) {
      this.#commit(table, written);
    }
    return result;
  }

  #commit<T extends Table>(table: T, written: Rows): void {
    const rows: Rows[T] = this.#rows[table];
    for (const [key, entry] of written[table]) {
      if (entry === undefined) {
        rows.delete(key);
      } else {
        rows.set(key, entry);
      }
    }
  }
}

class MemoryTransaction implements Transaction {
  readonly #rows: Rows;
  readonly #written: Rows;

  constructor(rows: Rows, written: Rows) {
    this.#rows = rows;
    this.#written = written;
  }

  async get<T extends Table>(table: T, key: Key<T>): Promise<Row<T> | undefined> {
    const text = JSON.stringify(key);
    const written: Rows[T] = this.#written[table];
    return (written.has(text) ? written.get(text) : this.#rows[table].get(text))?.[1];
  }

  async list<T extends Table>(table: T, ...prefix: Prefix<Key<T>>): Promise<Entry<T>[]> {
    const rows: Iterable<[KeyText, Entry<T> | undefined]> = [...this.#rows[table], ...this.#written[table]];
    const found = [...new Map(rows).values()].filter((entry) => entry !== undefined);
    return found.filter(([key]) => prefix.every((part, place) => key[place] === part)).sort(([one], [other]) => compare(one, other));
  }

  put<T extends Table>(table: T, key: Key<T>, row: Row<T>): void {
    const written: Rows[T] = this.#written[table];
    written.set(JSON.stringify(key), [key, row]);
  }

  remove<T extends Table>(table: T, key: Key<T>): void {
    this.#written[table].set(JSON.stringify(key), undefined);
  }
}

/** Orders keys part by part. */
function compare(one: readonly (string | number)[], other: readonly (string | number)[]): number {
  for (const [place, part] of one.entries()) {
    const against = other[place];
    if (against === undefined || part > against) {
      return 1;
    }
    if (part < against) {
      return -1;
    }
  }
  return one.length - other.length;
}
