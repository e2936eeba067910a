/** The package that `npm publish` sends: its files and its size. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../kit/source_tree.ts';
import { runExternal } from './external_program.ts';

/** A few percent more than it has: a new dependency that is bundled by mistake exceeds it. */
const PACKED_BYTES_MAX = 5_000_000;
const UNPACKED_BYTES_MAX = 19_000_000;

interface Packed {
  readonly size: number;
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string; readonly size: number }[];
}

describe('the npm package', () => {
  test('has the program, its documents and the files of packaging, no source or test, and stays small', async () => {
    expect(existsSync(join(ROOT, 'dist/keyhold.js'))).toBe(true);
    const { stdout } = await runExternal('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', ROOT]);
    const [{ size, unpackedSize, files }] = JSON.parse(stdout) as [Packed];
    const paths = files.map(({ path }) => path);
    for (const path of [
      'dist/keyhold.js',
      'docs/postgres_roles.sql',
      'packaging/systemd/keyhold.service',
      'packaging/systemd/keyhold-backup.timer',
      'packaging/helm/keyhold/Chart.yaml',
      'server.json',
      'LICENSE',
    ])
      expect(paths).toContain(path);
    expect(paths.filter((path) => /^(?:src|test|tools|\.ci)\/|\.(?:db|key|map)$|\.env/.test(path))).toEqual(
      [],
    );
    expect(size).toBeLessThan(PACKED_BYTES_MAX);
    expect(unpackedSize).toBeLessThan(UNPACKED_BYTES_MAX);
    // More than the program without its parts: the figures are those of the whole package.
    expect(unpackedSize).toBeGreaterThan(5_000_000);
  });
});
