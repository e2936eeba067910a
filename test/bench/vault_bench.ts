/** The vault in process: stores compared with plain better-sqlite3 writing the same bytes; statuses in small and large vaults. */
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import Driver from 'better-sqlite3';
import type { OpenedVault } from '../../src/index.ts';
import { configure, SCHEMA } from '../../src/store/sqlite/schema.ts';
import { atLeast, atMost, inMicroseconds, median, microsecondsEach, perSecond, type Row } from './report.ts';

/** One user has all credentials of a large vault. */
const QUOTA = { credentials: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };

type OpenVault = (options: { home: string; quota: typeof QUOTA }) => Promise<OpenedVault>;

const ROUNDS = 15;
const STORES_PER_ROUND = 300;
const CALLERS = 64;
const VALUE = 'lin_api_0123456789abcdefghijklmnopqrstuvwxyz';

function store(vault: OpenedVault, name: string) {
  return vault.storeCredential({
    service_id: 'linear',
    credential_type: 'api_key',
    credential_value: VALUE,
    name,
  });
}

/** The baseline's transaction: find, insert a credential row, insert an audit row, with prepared bytes. */
function baselineWriter(path: string, sizes: { meta: number; values: number; audit: number }) {
  const database = new Driver(path);
  database.pragma('journal_mode = WAL');
  configure(database);
  database.exec(SCHEMA);
  const find = database.prepare('SELECT * FROM record WHERE blind_index = ?');
  const credential = database.prepare(
    'INSERT INTO record (kind, id, scope, blind_index, revision, key_version, sealed_meta, sealed_values) VALUES (?, ?, ?, ?, 1, 1, ?, ?)',
  );
  const audit = database.prepare(
    'INSERT INTO audit_entry (key_version, sealed, link, end_seal) VALUES (1, ?, ?, ?)',
  );
  const [meta, values, entry, link, scope] = [sizes.meta, sizes.values, sizes.audit, 32, 16].map((size) =>
    randomBytes(size),
  );
  const transaction = database.transaction((id: Buffer, index: Buffer) => {
    find.get(index);
    credential.run('credential', id, scope, index, meta, values);
    audit.run(entry, link, link);
  });
  return {
    write: () => transaction.immediate(randomBytes(16), randomBytes(16)),
    close: () => database.close(),
  };
}

/** The sizes of the sealed parts of such a credential, read from the file that was just written. */
function sealedSizes(path: string) {
  const database = new Driver(path, { readonly: true });
  const sizes = database
    .prepare(
      `SELECT length(sealed_meta) AS meta, length(sealed_values) AS "values",
       (SELECT length(sealed) FROM audit_entry ORDER BY place DESC LIMIT 1) AS audit FROM record ORDER BY place DESC LIMIT 1`,
    )
    .get() as { meta: number; values: number; audit: number };
  database.close();
  return sizes;
}

/** `baseline_per_second`: commits of one caller of the bare database. */
export interface StoreFigures {
  readonly rows: readonly Row[];
  readonly baseline_per_second: number;
}

export async function benchStores(openVault: OpenVault, folder: string): Promise<StoreFigures> {
  const home = join(folder, 'stores');
  const vault = await openVault({ home, quota: QUOTA });
  await microsecondsEach(STORES_PER_ROUND, (at) => store(vault, `warm ${at}`));
  const baseline = baselineWriter(join(folder, 'baseline.db'), sealedSizes(join(home, 'data', 'vault.db')));
  await microsecondsEach(STORES_PER_ROUND, async () => baseline.write());
  const singles: number[] = [];
  const baselines: number[] = [];
  const groups: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    singles.push(await microsecondsEach(STORES_PER_ROUND, (at) => store(vault, `one ${round} ${at}`)));
    baselines.push(await microsecondsEach(STORES_PER_ROUND, async () => baseline.write()));
    const start = performance.now();
    const total = STORES_PER_ROUND * 4;
    let next = 0;
    const caller = async () => {
      while (next < total) await store(vault, `many ${round} ${next++}`);
    };
    await Promise.all(Array.from({ length: CALLERS }, caller));
    groups.push(((performance.now() - start) * 1000) / total);
  }
  await vault.close();
  baseline.close();
  const ratios = (times: readonly number[]) =>
    median(times.map((each, at) => (baselines[at] ?? Number.NaN) / each));
  const base = perSecond(median(baselines));
  const rows = [
    atLeast('store, one caller, of the baseline', ratios(singles), 0.65, perSecond(median(singles)), base),
    atLeast(
      `store, ${CALLERS} callers, of the baseline's one`,
      ratios(groups),
      2.5,
      perSecond(median(groups)),
      base,
    ),
  ];
  return { rows, baseline_per_second: 1e6 / median(baselines) };
}

const STATUS_ROUNDS = 15;
const STATUSES_PER_ROUND = 2_000;

export async function benchStatus(
  openVault: OpenVault,
  folder: string,
  many: number,
  print: (text: string) => void,
): Promise<Row[]> {
  const one = await fill(openVault, join(folder, 'one'), 1, print);
  const thousand = await fill(openVault, join(folder, 'thousand'), 1_000, print);
  const million = await fill(openVault, join(folder, 'million'), many, print);
  await million.vault.close();
  const reopened = { ...million, vault: await openVault({ home: million.home, quota: QUOTA }) };
  const rates = { one: [] as number[], many: [] as number[] };
  const p50s = { thousand: [] as number[], many: [] as number[] };
  for (let round = 0; round < STATUS_ROUNDS; round++) {
    rates.one.push(median(await statuses(one.vault, 1)));
    p50s.thousand.push(median(await statuses(thousand.vault, 1_000)));
    const large = await statuses(reopened.vault, many);
    rates.many.push(large.reduce((sum, each) => sum + each, 0) / large.length);
    p50s.many.push(median(large));
  }
  const size = statSync(join(million.home, 'data', 'vault.db')).size;
  for (const { vault } of [one, thousand, reopened]) await vault.close();
  const count = many.toLocaleString('en');
  const ratio = median(p50s.many.map((each, at) => each / (p50s.thousand[at] ?? Number.NaN)));
  return [
    atLeast(
      'status with one credential, per second',
      1e6 / median(rates.one),
      25_000,
      inMicroseconds(median(rates.one)),
      '',
    ),
    atLeast(
      `status with ${count} credentials, per second`,
      1e6 / median(rates.many),
      25_000,
      inMicroseconds(median(rates.many)),
      '',
    ),
    atMost(
      `status p50 with ${count} against 1,000`,
      ratio,
      1.5,
      inMicroseconds(median(p50s.many)),
      inMicroseconds(median(p50s.thousand)),
    ),
    atMost(
      `file per credential with ${count}, KiB`,
      size / many / 1024,
      1.5,
      `${(size / 2 ** 20).toFixed(0)} MiB`,
      '',
    ),
  ];
}

async function statuses(vault: OpenedVault, count: number): Promise<number[]> {
  const each: number[] = [];
  for (let at = 0; at < STATUSES_PER_ROUND; at++) {
    const name = `n${Math.floor(Math.random() * count)}`;
    const start = performance.now();
    await vault.getCredentialStatus({ service_id: 'linear', name });
    each.push((performance.now() - start) * 1000);
  }
  return each;
}

async function fill(openVault: OpenVault, home: string, count: number, print: (text: string) => void) {
  const vault = await openVault({ home, quota: QUOTA });
  let next = 0;
  const started = performance.now();
  const caller = async () => {
    while (next < count) {
      const at = next++;
      if (at > 0 && at % 50_000 === 0)
        print(`  ${at} of ${count} stored, ${Math.round((at / (performance.now() - started)) * 1000)}/s`);
      await store(vault, `n${at}`);
    }
  };
  await Promise.all(Array.from({ length: 256 }, caller));
  return { vault, home };
}
