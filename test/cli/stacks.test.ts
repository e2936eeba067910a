/** `keyhold stacks`, and the commands that people of other tools try. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keyhold, keyholdJson, keyholdOk, newHome, removeHome } from '../kit/child/cli.ts';

let home: string;
beforeEach(() => {
  home = newHome();
});
afterEach(() => removeHome(home));

test('stacks list prints the stacks and their services, and status names the other stacks', async () => {
  await keyholdOk(home, ['store', 'linear', '--stack', 'team'], { stdin: 'lin_api_x' });
  expect(await keyholdOk(home, ['status'])).toContain('Other stacks: team (--stack)');
  await keyholdOk(home, ['store', 'github'], { stdin: 'ghp_x' });
  expect(await keyholdOk(home, ['status'])).toMatch(/github .*\nOther stacks: team \(--stack\)\n/);
  expect(await keyholdOk(home, ['status', '--stack', 'team'])).toContain('Other stacks: default');
  expect(await keyholdOk(home, ['status', 'linear', '--stack', 'team'])).toContain('\nStack team\n');
  const lines = (await keyholdOk(home, ['stacks', 'list'])).split('\n');
  expect(lines[0]).toMatch(/^STACK +NAME +SERVICES +CHANGED$/);
  expect(lines[1]).toMatch(/^team +linear +\S+Z$/);
  expect(lines[2]).toMatch(/^default +github +\S+Z$/);
  const { stacks } = await keyholdJson<{ stacks: unknown[] }>(home, ['stacks', 'list']);
  expect(stacks).toMatchObject([
    { stack_id: 'team', services: ['linear'] },
    { stack_id: 'default', services: ['github'] },
  ]);
});

test('stacks list exits with 5 without a vault', async () => {
  expect((await keyhold(home, ['stacks', 'list'])).code).toBe(5);
});

test.each([
  ['get', 'linear'],
  ['show', 'linear', '--json'],
  ['get', '--raw', 'linear'],
])(
  'keyhold %s exits with 2, prints nothing on stdout and names the commands to use instead',
  async (...argv) => {
    const { code, stdout, stderr } = await keyhold(home, argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('keyhold status SERVICE');
    expect(stderr).toContain('keyhold store SERVICE');
    expect(await keyholdOk(home, ['--help'])).not.toMatch(/^ {2}(?:get|show)\b/m);
  },
);

test('units list writes no audit entry', async () => {
  await keyholdOk(home, ['init']);
  const entries = async () =>
    (await keyholdJson<{ entries: unknown[] }>(home, ['audit', 'list'])).entries.length;
  const before = await entries();
  await keyholdOk(home, ['units', 'list']);
  expect(await entries()).toBe(before);
});
