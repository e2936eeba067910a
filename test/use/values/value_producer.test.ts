import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { VaultError } from '../../../src/contract/errors.ts';
import { VALUE_MAX_BYTES } from '../../../src/contract/limits.ts';
import { Secret } from '../../../src/contract/secret.ts';
import type { Service } from '../../../src/contract/service/service.ts';
import type { Egress } from '../../../src/egress/egress.ts';
import { runCommand } from '../../../src/use/values/command.ts';
import type { VaultServer } from '../../../src/use/values/references.ts';
import { ValueProducer } from '../../../src/use/values/value_producer.ts';
import { ReferenceList } from '../../../src/vault/values/reference_list.ts';
import { type CommandSource, commandOf, commandValue } from '../../../src/vault/values/value_source.ts';
import { removeFolder } from '../../kit/remove_folder.ts';
import { headerEquals, requireAuthentication } from '../../kit/upstream/authentication.ts';
import { respondJson } from '../../kit/upstream/handlers.ts';
import { openUpstreamEgress, startUpstream } from '../../kit/upstream/upstream.ts';

const CANARY = 'canary-7f3a-of-produced-values';
const TIME = new Date('2026-01-02T03:04:05Z');
/** RFC 6238, appendix B: the ASCII text 12345678901234567890. */
const RFC_SECRET = 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ';

/** A part of a definition: only fields matter here. */
const SERVICE = {
  fields: [
    { field_id: 'token' },
    { field_id: 'key', multiline: true },
    { field_id: 'code', kind: 'totp', secret: true },
  ],
} as unknown as Service;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'keyhold-values-'));
});
afterAll(() => removeFolder(folder));

interface Options {
  readonly allowed?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly now?: Date;
  readonly vault_server?: VaultServer;
  readonly command_timeout_ms?: number;
}

function producerWith({
  allowed = '',
  env = {},
  now = TIME,
  vault_server,
  command_timeout_ms,
}: Options = {}) {
  const list = ReferenceList.parse(allowed);
  if (list === undefined) throw new Error('not a list');
  return new ValueProducer({
    references: { list, env, vault_server },
    env: { PATH: process.env.PATH, HOME: folder, ...env },
    now: () => now,
    ...(command_timeout_ms === undefined ? {} : { command_timeout_ms }),
  });
}

async function produce(field: string, stored: Secret | string, producer: Options | ValueProducer = {}) {
  const opened = new Map([[field, typeof stored === 'string' ? new Secret(stored) : stored]]);
  const used = producer instanceof ValueProducer ? producer : producerWith(producer);
  const { values, secrets } = await used.produceAll(SERVICE, opened);
  return { value: values.get(field)?.reveal(), secrets: secrets.map((secret) => secret.reveal()) };
}

async function errorOf(produced: Promise<unknown>): Promise<VaultError> {
  const error: VaultError = await produced.then(
    () => {
      throw new Error('no error');
    },
    (thrown) => thrown,
  );
  expect(`${error.message} ${error.cause ?? ''}`).not.toContain(CANARY);
  return error;
}

/** A script in a file; `$0` is its path. */
function script(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o700);
  return path;
}

const commandOfScript = (program: string, more: Partial<CommandSource> = {}) =>
  commandValue({ program, args: [], cache_seconds: 0, ...more });

describe('a command is refused as the source of a value', () => {
  test.each<[string, Partial<CommandSource>]>([
    ['with a relative path', { program: 'printf' }],
    ['with a NUL in an argument', { args: ['a\u0000b'] }],
    ['with too many arguments', { args: Array.from({ length: 101 }, () => 'a') }],
    ['with a negative cache time', { cache_seconds: -1 }],
    ['with a cache time of more than a day', { cache_seconds: 86_401 }],
  ])('%s', (_what, wrong) => {
    expect(() => commandValue({ program: '/bin/sh', args: [], cache_seconds: 0, ...wrong })).toThrow();
  });

  test.each([
    ['that fails', `echo ${CANARY}; echo ${CANARY} >&2; exit 3`, 'failed with exit code 3'],
    ['that is killed', `echo ${CANARY}; kill -9 $$`, 'was killed by a signal'],
    ['that prints nothing', 'echo', 'returned nothing'],
    ['that prints several lines', `echo ${CANARY}; echo ${CANARY}`, 'several lines'],
    ['that prints a control character', `printf '${CANARY}\\033[2J'`, 'control character'],
    ['that prints a NUL', `printf '${CANARY}\\0'`, 'control character'],
    ['that prints other bytes than UTF-8', `printf '${CANARY}\\377'`, 'no text in UTF-8'],
    [
      'that prints too much',
      `yes ${CANARY} | head -c ${VALUE_MAX_BYTES + 1}; sleep 100`,
      'more than a value',
    ],
  ])('%s', async (name, text, message) => {
    const program = script(name.replaceAll(' ', '_'), text);
    const error = await errorOf(produce('token', commandOfScript(program)));
    expect(error).toMatchObject({ code: 'UPSTREAM', message: expect.stringContaining(message) });
    expect(error.message).toContain('token');
  });

  test('that does not exist any more', async () => {
    const error = await errorOf(produce('token', commandOfScript(join(folder, 'missing'))));
    expect(error).toMatchObject({
      code: 'UPSTREAM',
      message: expect.stringContaining('could not be started'),
    });
  });

  test('with arguments that are too large for the system', async () => {
    const command = { program: '/bin/echo', args: [CANARY.repeat(10_000)], cache_seconds: 0 };
    const error = await errorOf(runCommand('token', command, { env: {} }));
    expect(error).toMatchObject({
      code: 'UPSTREAM',
      message: expect.stringContaining('could not be started'),
    });
  });

  test('that takes too long, and its child processes are killed', async () => {
    const program = script('slow', 'sleep 60 & echo $! > "$0.pid"; wait');
    const error = await errorOf(produce('token', commandOfScript(program), { command_timeout_ms: 3_000 }));
    expect(error).toMatchObject({ code: 'UPSTREAM', message: expect.stringContaining('in time') });
    const pid = Number(readFileSync(`${program}.pid`, 'utf8'));
    await expect.poll(() => isRunning(pid)).toBe(false);
  });
});

/** A zombie that no process has waited for has ended too. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

describe('the output of a command', () => {
  test('is the value, without its last line end', async () => {
    const program = script('token', `printf '%s\\n' "${CANARY} $1"`);
    const { value, secrets } = await produce('token', commandOfScript(program, { args: ['a;b $HOME *'] }));
    expect(value).toBe(`${CANARY} a;b $HOME *`);
    expect(secrets).toEqual([value]);
  });

  test('may have several lines in a field of several lines', async () => {
    const program = script('key', `printf 'line 1\\nline 2\\n'`);
    expect((await produce('key', commandOfScript(program))).value).toBe('line 1\nline 2');
  });

  test('comes from an environment with PATH and HOME only', async () => {
    const env = { KEYHOLD_PASSPHRASE: CANARY, SECRET: CANARY };
    const { value } = await produce(
      'key',
      commandValue({ program: '/usr/bin/env', args: [], cache_seconds: 0 }),
      { env },
    );
    const names = value?.split('\n').map((line) => line.split('=')[0]);
    expect(names?.sort()).toEqual(['HOME', 'PATH']);
  });

  test('is used again for its cache time, and computed for each use without one', async () => {
    const program = script('counted', 'echo x >> "$0.count"; echo value');
    const producer = producerWith();
    const count = () => readFileSync(`${program}.count`, 'utf8').length / 2;
    const cached = commandOfScript(program, { cache_seconds: 60 });
    await Promise.all([1, 2, 3].map(() => produce('token', cached, producer)));
    expect(count()).toBe(1);
    await produce('token', commandOfScript(program), producer);
    await produce('token', commandOfScript(program), producer);
    expect(count()).toBe(3);
  });

  test('is computed again after its cache time', async () => {
    const program = script('expiring', 'echo x >> "$0.count"; echo value');
    const producer = producerWith();
    const cached = commandOfScript(program, { cache_seconds: 1 });
    await produce('token', cached, producer);
    await setTimeout(1_100);
    await produce('token', cached, producer);
    expect(readFileSync(`${program}.count`, 'utf8')).toBe('x\nx\n');
  });

  test('of a failure is not used again', async () => {
    const program = script('flaky', 'test -e "$0.ok" && echo value && exit 0; touch "$0.ok"; exit 1');
    const producer = producerWith();
    const cached = commandOfScript(program, { cache_seconds: 60 });
    await errorOf(produce('token', cached, producer));
    expect((await produce('token', cached, producer)).value).toBe('value');
  });

  test('is stored in a text that no caller can store', () => {
    const stored = commandOfScript('/bin/sh').reveal();
    expect(stored.charCodeAt(0)).toBe(0);
    expect(commandOf(stored)).toEqual({ program: '/bin/sh', args: [], cache_seconds: 0 });
    expect(commandOf(stored.slice(1))).toBeUndefined();
  });
});

describe('a reference is never sent as text', () => {
  const env = {
    APP_TOKEN: CANARY,
    EMPTY: '',
    KEYHOLD_PASSPHRASE: CANARY,
    VAULT_TOKEN: CANARY,
    BAO_TOKEN: CANARY,
  };

  test.each([
    ['that is not allowed', 'env://OTHER', 'APP_*', 'FORBIDDEN'],
    ['if the operator allows none', 'env://APP_TOKEN', '', 'FORBIDDEN'],
    ['to a setting of Keyhold', 'env://KEYHOLD_PASSPHRASE', '*', 'FORBIDDEN'],
    ['to the token of the other vault', 'env://VAULT_TOKEN', '*', 'FORBIDDEN'],
    ['to the token of OpenBao', 'env://BAO_TOKEN', 'BAO_*', 'FORBIDDEN'],
    ['in another case', 'ENV://APP_TOKEN', 'APP_TOKEN', 'FORBIDDEN'],
    ['that is not a name', 'env://APP_TOKEN/x', '*', 'FORBIDDEN'],
    ['to a variable that is not set', 'env://MISSING', '*', 'UPSTREAM'],
    ['to a variable that is empty', 'env://EMPTY', '*', 'UPSTREAM'],
    ['to another vault that is not set up', 'vault://secret/app#token', 'vault://*', 'UPSTREAM'],
    ['with a path that leaves its engine', 'vault://secret/../sys/x#token', 'vault://*', 'FORBIDDEN'],
    ['with a path that has an escape', 'vault://secret/%2e%2e/x#token', 'vault://*', 'FORBIDDEN'],
    ['without a field', 'vault://secret/app', 'vault://*', 'FORBIDDEN'],
  ])('%s', async (_what, reference, allowed, code) => {
    expect(await errorOf(produce('token', reference, { allowed, env }))).toMatchObject({ code });
  });

  test('and an allowed one is the value of its variable', async () => {
    const { value, secrets } = await produce('token', 'env://APP_TOKEN', {
      allowed: 'OTHER, env://APP_*',
      env,
    });
    expect([value, secrets]).toEqual([CANARY, [CANARY]]);
  });

  test.each(['a b', 'env://A-B', 'vault://', 'https://x', Array.from({ length: 101 }, () => 'A').join()])(
    'and the list %j is refused',
    (list) => {
      expect(ReferenceList.parse(list)).toBeUndefined();
    },
  );
});

describe('a reference to another vault', () => {
  const HOST = 'vault.keyhold.test';
  const serverWith = (egress: Egress, token = 'token-of-the-operator'): VaultServer => ({
    origin: `https://${HOST}`,
    token,
    namespace: 'team',
    egress: async () => egress,
  });
  const serverOf = (token?: string) => serverWith(openUpstreamEgress(), token);
  const startVault = (json: unknown, status = 200) =>
    startUpstream(
      [HOST],
      requireAuthentication(
        headerEquals('x-vault-token', 'token-of-the-operator'),
        respondJson(json, status),
      ),
    );
  const options = (vault_server = serverOf()) => ({ allowed: 'vault://secret/app/*#token', vault_server });

  test.each([
    ['with a wrong token', 200, { data: { data: { token: CANARY } } }, 'wrong', 'UPSTREAM'],
    ['that is missing', 404, { errors: [CANARY] }, undefined, 'UPSTREAM'],
    ['without the field', 200, { data: { data: { other: CANARY } } }, undefined, 'UPSTREAM'],
    ['whose field is not text', 200, { data: { data: { token: { a: CANARY } } } }, undefined, 'UPSTREAM'],
    ['that responds with something else', 200, [CANARY], undefined, 'UPSTREAM'],
    ['that fails', 500, { errors: [CANARY] }, undefined, 'UPSTREAM'],
    [
      'with a line end in the value',
      200,
      { data: { data: { token: `${CANARY}\nx` } } },
      undefined,
      'UPSTREAM',
    ],
  ])('%s is an error without its response', async (_what, status, json, token, code) => {
    await startVault(json, status);
    const produced = produce('token', 'vault://secret/app/db#token', options(serverOf(token)));
    expect(await errorOf(produced)).toMatchObject({ code });
  });

  test('is an error if the server cannot be reached', async () => {
    const produced = produce('token', 'vault://secret/app/db#token', options());
    expect(await errorOf(produced)).toMatchObject({ code: 'UPSTREAM' });
  });

  test('outside of the allowed paths or fields sends no request', async () => {
    const upstream = await startVault({ data: { data: { token: CANARY, other: CANARY } } });
    for (const reference of ['vault://secret/other#token', 'vault://secret/app/db#other'])
      expect(await errorOf(produce('token', reference, options()))).toMatchObject({ code: 'FORBIDDEN' });
    expect(upstream.requests).toEqual([]);
  });

  test('is read from its KV version 2 engine', async () => {
    const upstream = await startVault({ data: { data: { token: CANARY }, metadata: { version: 3 } } });
    expect((await produce('token', 'vault://secret/app/db#token', options())).value).toBe(CANARY);
    expect(upstream.requests[0]).toMatchObject({
      method: 'GET',
      path: '/v1/secret/data/app/db',
      headers: { 'x-vault-namespace': 'team', 'x-vault-request': 'true' },
    });
  });
});

describe('a one-time code', () => {
  const uriOf = (query: string) => `otpauth://totp/Service:user?secret=${RFC_SECRET}${query}`;

  test.each([
    ['a text that is not base32', `${CANARY}!`],
    ['a secret of less than 80 bits', 'GEZDGNBVGY3TQ'],
    ['counter-based codes', `otpauth://hotp/a?secret=${RFC_SECRET}&counter=1`],
    ['a period of an hour', uriOf('&period=3600')],
    ['three digits', uriOf('&digits=3')],
    ['an unknown algorithm', uriOf('&algorithm=MD5')],
    ['a URI without a secret', 'otpauth://totp/a'],
  ])('is not computed from %s', async (_what, secret) => {
    const error = await errorOf(produce('code', secret));
    expect(error).toMatchObject({ code: 'INVALID_INPUT' });
    expect(error.message).not.toContain(RFC_SECRET);
  });

  test.each([
    ['the base32 secret', RFC_SECRET, 59, '287082'],
    ['a secret in lower case and groups', 'gezd gnbv gy3t qojq gezd gnbv gy3t qojq', 59, '287082'],
    ['a URI with eight digits', uriOf('&digits=8'), 59, '94287082'],
    ['a URI with eight digits, later', uriOf('&digits=8'), 1_111_111_109, '07081804'],
    ['a URI with a period of a minute', uriOf('&period=60'), 119, '287082'],
    [
      'SHA-256',
      'otpauth://totp/a?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA&algorithm=SHA256&digits=8',
      59,
      '46119246',
    ],
  ])('of %s is that of RFC 6238, and both are secrets', async (_what, secret, seconds, code) => {
    const produced = await produce('code', secret, { now: new Date(seconds * 1000) });
    expect(produced).toEqual({ value: code, secrets: [code, secret] });
  });

  test('is computed from the output of a command too', async () => {
    const program = script('otp', `echo ${RFC_SECRET}`);
    const { value, secrets } = await produce('code', commandOfScript(program), { now: new Date(59_000) });
    expect([value, secrets]).toEqual(['287082', ['287082', RFC_SECRET]]);
  });
});

test('a stored value is used as it is', async () => {
  expect(await produce('token', CANARY)).toEqual({ value: CANARY, secrets: [CANARY] });
});
