/** The credentials of a key service and the root keys that it encrypts: in no output, log line, audit entry or stored byte of the program. */
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { runProgram, startProgram } from '../kit/child/built_program.ts';
import { startKms } from '../kit/key_services/aws_kms.ts';
import { startTransit } from '../kit/key_services/transit.ts';
import { readBytesAtRest } from '../kit/vault/database.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const TOKEN = 'hvs.canary-of-the-key-service-7391';
const OTHER_TOKEN = 'hvs.canary-of-another-token-4471';
const OTHER_SECRET = 'canary+of/another+AWS/secret+key+8832+0001';

interface Service {
  readonly env: NodeJS.ProcessEnv;
  /** With other credentials, which the service refuses. */
  readonly refused: NodeJS.ProcessEnv;
  readonly plaintexts: readonly Buffer[];
}

async function transitService(): Promise<Service> {
  const transit = await startTransit(TOKEN);
  const env = { KEYHOLD_ROOT_KEY: transit.setting(), KEYHOLD_TRANSIT_TOKEN: TOKEN };
  const refused = { ...env, KEYHOLD_TRANSIT_TOKEN: OTHER_TOKEN };
  return { env, refused, plaintexts: transit.plaintexts };
}

async function kmsService(): Promise<Service> {
  const { env, plaintexts } = await startKms();
  return { env, refused: { ...env, AWS_SECRET_ACCESS_KEY: OTHER_SECRET }, plaintexts };
}

/** The log of `keyhold serve` from its start to its end. */
async function serveOutput(env: NodeJS.ProcessEnv): Promise<string> {
  const child = startProgram(['serve'], { env: { ...env, KEYHOLD_PORT: '0' } });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const exited = once(child, 'close');
  if (child.stdout !== null) await Promise.race([once(child.stdout, 'data'), exited]);
  child.kill('SIGTERM');
  await exited;
  return output;
}

test.each([
  ['a transit engine', transitService],
  ['AWS KMS', kmsService],
])(
  'commands of a vault with %s reveal neither its credentials nor a root key, if they succeed or are refused',
  { timeout: 240_000 },
  async (_, startService) => {
    const { env, refused, plaintexts } = await startService();
    const home = temporaryFolder();
    const common = { KEYHOLD_HOME: home, KEYHOLD_LOG: 'debug' };
    const outputs: string[] = [];
    const run = async (given: NodeJS.ProcessEnv, ...args: string[]) => {
      const options = { env: { ...common, ...given }, input: 'lin_api_0123456789\n' };
      const { code, stdout, stderr } = await runProgram(args, options);
      outputs.push(stdout, stderr);
      return code;
    };
    expect(await run(refused, 'init', '--json')).toBe(10);
    expect(await run(env, 'init', '--json')).toBe(0);
    expect(await run(env, 'store', 'linear')).toBe(0);
    expect(await run(env, 'doctor', '--json')).toBe(0);
    for (const args of [['doctor'], ['status', '--json'], ['rotate', 'root', '--json'], ['mcp']])
      expect([args, await run(refused, ...args)]).toEqual([args, args[0] === 'mcp' ? 0 : 10]);
    expect(await run(env, 'rotate', 'root', '--json')).toBe(0);
    expect(await run(env, 'audit', 'list', '--json')).toBe(0);
    expect(await run(env, 'audit', 'verify', '--json')).toBe(0);
    for (const given of [env, refused]) outputs.push(await serveOutput({ ...common, ...given }));
    const output = outputs.join('\n');
    expect(output).toContain('kms_denied');
    expect(output).toContain(`encrypted by ${env.KEYHOLD_ROOT_KEY}; keys are used for at most 60 minutes`);
    expect(output).toContain('which the key service decrypted');
    expect(output).toContain('rotate_root_key');
    expect(output).toContain('"msg":"listening"');
    const stored = Buffer.concat([...(await readBytesAtRest(home)).values()]);
    const root_keys = plaintexts.filter(({ length }) => length === 32);
    expect(root_keys.length).toBeGreaterThan(3);
    const secrets = [...Object.entries(env), ...Object.entries(refused)]
      .filter(([name]) => /TOKEN|SECRET/.test(name))
      .map(([, value = '']) => value);
    expect(new Set(secrets).size).toBe(2);
    const texts = root_keys.flatMap((key) => [
      key.toString('base64'),
      key.toString('hex'),
      key.toString('base64url'),
    ]);
    for (const text of [...secrets, ...texts]) {
      expect(output).not.toContain(text);
      expect(stored.includes(text)).toBe(false);
    }
    for (const key of root_keys) expect(stored.includes(key)).toBe(false);
  },
);
