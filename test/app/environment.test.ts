/** The environment that a program started by Keyhold would inherit. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runProgram } from '../kit/child/built_program.ts';
import { temporaryFolder } from '../kit/vault/temp_vault.ts';

const KEY = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 5)).toString('base64');

test.each([
  ['the root key', { KEYHOLD_ROOT_KEY: 'env:MY_KEY\n', MY_KEY: KEY }],
  ['the passphrase', { KEYHOLD_ROOT_KEY: 'passphrase', KEYHOLD_PASSPHRASE: 'correct horse' }],
])('%s and the API key are used and then not passed on to child processes', async (_, secrets) => {
  const folder = temporaryFolder();
  const report = join(folder, 'report.json');
  const script = `import { execFileSync } from 'node:child_process';
    process.on('exit', () => execFileSync(process.execPath,
      ['-e', 'require("fs").writeFileSync(process.argv[1], JSON.stringify(process.env))', ${JSON.stringify(report)}],
      { stdio: 'ignore', env: { ...process.env, NODE_OPTIONS: '' } }));`;
  const env = {
    KEYHOLD_HOME: join(folder, 'home'),
    KEYHOLD_API_KEY: 'kh_not_used',
    KEYHOLD_OIDC_CLIENT_SECRET: 'not used',
    KEYHOLD_STORE_PASSWORD: 'not used',
    KEYHOLD_NOTIFY_WEBHOOK: 'http://127.0.0.1:1/',
    KEYHOLD_NOTIFY_WEBHOOK_SECRET: `whsec_${KEY}`,
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}`,
    ...secrets,
  };
  const { code } = await runProgram(['store', 'linear', '--stdin'], { env, input: 'lin_api_1' });
  expect(code).toBe(0);
  const inherited = JSON.parse(readFileSync(report, 'utf8')) as Record<string, string>;
  expect(inherited.KEYHOLD_HOME).toBe(env.KEYHOLD_HOME);
  const secrets_of_settings = [
    'KEYHOLD_OIDC_CLIENT_SECRET',
    'KEYHOLD_NOTIFY_WEBHOOK_SECRET',
    'KEYHOLD_STORE_PASSWORD',
  ];
  for (const name of ['MY_KEY', 'KEYHOLD_PASSPHRASE', 'KEYHOLD_API_KEY', ...secrets_of_settings])
    expect(inherited).not.toHaveProperty(name);
});
