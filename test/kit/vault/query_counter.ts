/**
 * Counts how often the database is read and written: what an operation tells by its work is counted, since what it
 * tells by its time depends on the machine. Transactions are not counted, which several requests may share.
 */
import Driver, { type Statement } from 'better-sqlite3';
import { onTestFinished } from 'vitest';

export interface QueryCounts {
  readonly reads: number;
  readonly writes: number;
}

/** Counts until the end of the test. Each call returns the counts since the previous one. */
export function countQueries(): () => QueryCounts {
  const database = new Driver(':memory:');
  const statements: object = Object.getPrototypeOf(database.prepare('SELECT 1'));
  let reads = 0;
  let writes = 0;
  const undo = [
    wrap(statements, 'get', () => reads++),
    wrap(statements, 'all', () => reads++),
    wrap(statements, 'iterate', () => reads++),
    wrap(statements, 'run', () => writes++),
  ];
  database.close();
  onTestFinished(() => {
    for (const one of undo) one();
  });
  return () => {
    const counted = { reads, writes };
    reads = 0;
    writes = 0;
    return counted;
  };
}

function wrap(of: object, method: string, count: () => void): () => void {
  const genuine: unknown = Reflect.get(of, method);
  const isCounted = ({ source }: Statement) => /^\s*(?:SELECT|INSERT|UPDATE|DELETE)/i.test(source);
  if (typeof genuine !== 'function') throw new Error(`statements have no ${method}`);
  const counted = new Proxy(genuine, {
    apply(target, self: Statement, input) {
      if (isCounted(self)) count();
      return Reflect.apply(target, self, input);
    },
  });
  Reflect.set(of, method, counted);
  return () => Reflect.set(of, method, genuine);
}
