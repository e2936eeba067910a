/** The token of a key service and the root key that it encrypts: in no output, log line or stored byte of the program. */
import { expect, test } from 'vitest';
import { runProgram } from '../kit/child/built_program.ts';
import { startTransit } from '../kit/key_services/transit.ts';
import { readBytesAtRest } from '../kit/vault/database.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const TOKEN = 'hvs.canary-of-the-key-service-7391';
const OTHER_TOKEN = 'hvs.canary-of-another-token-4471';

test('commands of a vault with a key service reveal neither its token nor the root key, if they succeed or are refused', async () => {
  const transit = await startTransit(TOKEN);
  const home = temporaryFolder();
  const env = { KEYHOLD_HOME: home, KEYHOLD_ROOT_KEY: transit.setting(), KEYHOLD_LOG: 'debug' };
  const outputs: string[] = [];
  const run = async (token: string, ...args: string[]) => {
    const { code, stdout, stderr } = await runProgram(args, {
      env: { ...env, KEYHOLD_TRANSIT_TOKEN: token },
      input: 'lin_api_0123456789\n',
    });
    outputs.push(stdout, stderr);
    return code;
  };
  expect(await run(OTHER_TOKEN, 'init', '--json')).toBe(10);
  expect(await run(TOKEN, 'init', '--json')).toBe(0);
  expect(await run(TOKEN, 'store', 'linear')).toBe(0);
  expect(await run(TOKEN, 'doctor', '--json')).toBe(0);
  expect(await run(OTHER_TOKEN, 'doctor')).toBe(10);
  expect(await run(OTHER_TOKEN, 'status', '--json')).toBe(10);
  const output = outputs.join('\n');
  expect(output).toContain('kms_denied');
  expect(output).toContain(`encrypted by ${transit.setting()}; keys are used for at most 60 minutes`);
  const stored = Buffer.concat([...(await readBytesAtRest(home)).values()]);
  // The root key is the last key that the service decrypted.
  const root_key = transit.plaintexts.at(-1) ?? Buffer.alloc(0);
  expect(root_key).toHaveLength(32);
  for (const text of [TOKEN, OTHER_TOKEN, root_key.toString('base64'), root_key.toString('hex')]) {
    expect(output).not.toContain(text);
    expect(stored.includes(text)).toBe(false);
  }
  expect(stored.includes(root_key)).toBe(false);
});
