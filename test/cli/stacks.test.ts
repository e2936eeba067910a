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
  expect(lines[0]).toMatch(/^STACK +NAME +SERVICES +SHARING +CHANGED$/);
  expect(lines[1]).toMatch(/^team +linear +\S+Z$/);
  expect(lines[2]).toMatch(/^default +github +\S+Z$/);
  const { stacks } = await keyholdJson<{ stacks: unknown[] }>(home, ['stacks', 'list']);
  expect(stacks).toMatchObject([
    { stack_id: 'team', services: ['linear'] },
    { stack_id: 'default', services: ['github'] },
  ]);
});

test('stacks are created, shared, renamed and deleted, and each command prints JSON', async () => {
  await keyholdOk(home, ['keys', 'create', '--user', 'ana']);
  await keyholdOk(home, ['units', 'create', 'sales']);
  const { stack_id } = await keyholdJson<{ stack_id: string }>(home, ['stacks', 'create', 'Production']);
  expect(stack_id).toMatch(/^stack_/);
  const share = await keyholdJson(home, ['stacks', 'share', stack_id, '--user', 'ana', '--role', 'edit']);
  expect(share).toMatchObject({ user: 'ana', role: 'edit', shared_by: 'me' });
  expect(await keyholdOk(home, ['stacks', 'share', stack_id, '--unit', 'sales'])).toContain(
    'unit sales, role use',
  );
  expect(await keyholdOk(home, ['stacks', 'list'])).toMatch(/stack_\S+ +Production +2 shares/);
  expect(await keyholdOk(home, ['stacks', 'show', stack_id])).toMatch(/^ana +edit +me /m);
  expect(await keyholdJson(home, ['users', 'move', 'ana', '--unit', 'sales'])).toMatchObject({ name: 'ana' });
  await keyholdOk(home, ['stacks', 'unshare', stack_id, '--user', 'ana']);
  const { shares } = await keyholdJson<{ shares: unknown[] }>(home, ['stacks', 'show', stack_id]);
  expect(shares).toMatchObject([{ unit_name: 'sales' }]);
  expect(await keyholdJson(home, ['stacks', 'rename', stack_id, 'Staging'])).toMatchObject({
    stack_name: 'Staging',
  });
  expect((await keyholdOk(home, ['__complete', '--', 'stacks', 'share', ''])).split('\n')).toContain(
    stack_id,
  );
  expect(await keyholdOk(home, ['__complete', '--', 'stacks', 'share', stack_id, '--role', ''])).toContain(
    'manage',
  );
  expect((await keyhold(home, ['stacks', 'delete', stack_id])).code).toBe(2);
  expect(await keyholdJson(home, ['stacks', 'delete', stack_id, '--yes'])).toEqual({ success: true });
  expect(await keyholdOk(home, ['stacks', 'list'])).not.toContain(stack_id);
});

test.each([
  ['without a user or a unit', 2, ['share', 'default']],
  ['with a user and a unit', 2, ['share', 'default', '--user', 'ana', '--unit', 'sales']],
  ['with an unknown role', 2, ['share', 'default', '--user', 'ana', '--role', 'owner']],
  ['of the default stack', 2, ['share', 'default', '--unit', 'sales']],
  ['that does not exist', 5, ['unshare', 'stack_x', '--user', 'ana']],
])('a share %s is refused with exit code %i', async (_, code, argv) => {
  await keyholdOk(home, ['units', 'create', 'sales']);
  await keyholdOk(home, ['stacks', 'list']);
  expect((await keyhold(home, ['stacks', ...argv])).code).toBe(code);
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
