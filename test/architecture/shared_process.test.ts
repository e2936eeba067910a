/** Test files that share a process leave it unchanged for the file after them. */
import { expect, test } from 'vitest';
import { OWN_PROCESS_TESTS, SHARED_PROCESS_FOLDERS } from '../kit/shared_process.ts';
import { readSources } from '../kit/source_tree.ts';

const CHANGES_THE_PROCESS =
  /\bvi\.(?:useFakeTimers|setSystemTime|mock|doMock|stubEnv|stubGlobal|resetModules)\(|\bprocess\.(?:chdir|umask)\(|(?:delete |Object\.assign\()process\.env\b|\bprocess\.env(?:\.\w+|\[[^\]]+\]) = /;
const MEASURES_THE_PROCESS = /\bmemoryUsage\(|\bgetActiveResourcesInfo\(|\/proc\/self\//;

test('a test file that shares a process neither changes nor measures the process', () => {
  const shared = [...readSources('test').values()].filter(
    ({ path }) =>
      SHARED_PROCESS_FOLDERS.some((folder) => path.startsWith(`${folder}/`)) &&
      !OWN_PROCESS_TESTS.includes(path),
  );
  expect(shared.length).toBeGreaterThan(90);
  const found = shared.filter(
    ({ text }) => CHANGES_THE_PROCESS.test(text) || MEASURES_THE_PROCESS.test(text),
  );
  expect(found.map(({ path }) => path)).toEqual([]);
});

test.each(['vi.useFakeTimers()', 'process.env.TZ = "UTC"', 'delete process.env.TZ', 'process.chdir(folder)'])(
  'the rule for shared processes finds %s',
  (text) => {
    expect(text).toMatch(CHANGES_THE_PROCESS);
  },
);
