/**
 * `npm run bench`: measures the built program and a baseline (plain better-sqlite3, plain pg, the bare SDK) in one run, and
 * prints medians and ratios. `--quick` fills the large vault with 50,000 credentials instead of a million.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type * as Keyhold from '../../src/index.ts';
import { NO_POSTGRESQL } from '../kit/servers/postgresql.ts';
import { benchCallService } from './call_bench.ts';
import { benchHttp } from './http_bench.ts';
import { benchPages } from './page_bench.ts';
import { benchPostgres } from './postgres/postgres_bench.ts';
import { benchRedaction } from './redaction_bench.ts';
import { table } from './report.ts';
import { benchRun } from './run_bench.ts';
import { benchCalls, benchStart, type Programs } from './stdio_bench.ts';
import { benchStatus, benchStores } from './vault_bench.ts';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const many = process.argv.includes('--quick') ? 50_000 : 1_000_000;
const folder = mkdtempSync(join(tmpdir(), 'keyhold-bench-'));
const print = (text: string) => process.stderr.write(`${text}\n`);
try {
  const { openVault }: typeof Keyhold = await import(at('../../dist/index.js'));
  const programs: Programs = {
    keyhold: at('../../dist/keyhold.js'),
    bare: join(folder, 'bare.mjs'),
    home: join(folder, 'stdio'),
  };
  await build({
    entryPoints: {
      bare: at('./bare_server.ts'),
      bare_http: at('./bare_http_server.ts'),
      bare_pages: at('./bare_pages_server.tsx'),
      load: at('./load_program.ts'),
      upstream: at('./upstream_program.ts'),
    },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node20.12',
    format: 'esm',
    mainFields: ['module', 'main'],
    legalComments: 'none',
    logLevel: 'error',
  });
  const vault = await openVault({ home: programs.home });
  await vault.storeCredential({
    service_id: 'linear',
    credential_type: 'api_key',
    credential_value: 'lin_api_0123456789',
  });
  await vault.close();
  const rows = [];
  print('redaction ...');
  rows.push(...(await benchRedaction()));
  print('stores ...');
  const stores = await benchStores(openVault, folder);
  rows.push(...stores.rows);
  if (NO_POSTGRESQL) print('PostgreSQL is not installed: its measurements are skipped');
  else {
    print('PostgreSQL ...');
    rows.push(...(await benchPostgres(openVault, folder, programs, print)));
  }
  print('requests over HTTP ...');
  const http = { ...programs, bare_http: join(folder, 'bare_http.mjs'), load: join(folder, 'load.mjs') };
  const large = { organizations: 100, credentials: many / 100 };
  rows.push(...(await benchHttp(http, folder, stores.baseline_per_second, large, print)));
  print('pages ...');
  rows.push(
    ...(await benchPages({ ...programs, bare_pages: join(folder, 'bare_pages.mjs') }, programs.home)),
  );
  print('starts ...');
  rows.push(...(await benchStart(programs)));
  rows.push(...(await benchRun(programs)));
  print('calls of services ...');
  const calls = { home: programs.home, folder, upstream: join(folder, 'upstream.mjs') };
  rows.push(...(await benchCallService(openVault, calls)));
  print('calls over stdio ...');
  rows.push(...(await benchCalls(programs)));
  print('statuses ...');
  rows.push(...(await benchStatus(openVault, folder, many, print)));
  console.log(
    `Node.js ${process.versions.node}, ${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, ${process.platform}\n`,
  );
  console.log(table(rows));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
