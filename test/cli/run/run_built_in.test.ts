/** `keyhold run` with built-in services: all names of a field, templates, and private files. */
import { statSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../kit/child/built_program.ts';
import { keyholdOk, newHome, removeHome } from '../../kit/child/cli.ts';

const AWS_SECRET = 'wJalrXUtnFEMI0K7MDENG0bPxRfiCYzQ81kLm02x';
const SENTRY_TOKEN = `sntryu_${'0f1e2d3c'.repeat(8)}`;
const SALESFORCE_TOKEN = `00D5g000004fQx1!${'AQ8kLm02Zx91'.repeat(8)}`;
const KEY_FILE = JSON.stringify(
  { type: 'service_account', private_key: '-----BEGIN\nZq81kLm02x\n' },
  null,
  2,
);

let home: string;
beforeAll(async () => {
  home = newHome();
  await keyholdOk(home, ['init']);
  const credentials = {
    aws: {
      aws_access_key_id: 'AKIAZQ81KLM02XTVBN47',
      aws_secret_access_key: AWS_SECRET,
      aws_region: 'eu-west-1',
    },
    sentry: { sentry_auth_token: SENTRY_TOKEN, sentry_organization: 'acme', sentry_host: 'de.sentry.io' },
    salesforce: { salesforce_access_token: SALESFORCE_TOKEN, salesforce_domain: 'acme' },
    google: { service_account_json: KEY_FILE },
  };
  for (const [service_id, fields] of Object.entries(credentials))
    await keyholdOk(home, ['update', service_id, '--create', '--stdin'], { stdin: JSON.stringify(fields) });
});
afterAll(() => removeHome(home));

/** What the script prints as JSON. `--raw`: the tests compare values. */
async function printedBy(service: string, script: string) {
  const command = ['run', '--raw', '--service', service, '--', process.execPath, '-e'];
  const { code, stdout, stderr } = await runProgram([...command, `console.log(JSON.stringify(${script}))`], {
    env: { KEYHOLD_HOME: home },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

describe('a command with the credential of a built-in service', () => {
  test('aws: the region is in both of its variables, and an optional field that is not stored in none', async () => {
    const env = await printedBy('aws', 'process.env');
    expect(env).toMatchObject({
      AWS_ACCESS_KEY_ID: 'AKIAZQ81KLM02XTVBN47',
      AWS_SECRET_ACCESS_KEY: AWS_SECRET,
      AWS_REGION: 'eu-west-1',
      AWS_DEFAULT_REGION: 'eu-west-1',
    });
    expect(env).not.toHaveProperty('AWS_SESSION_TOKEN');
  });

  test('sentry: the token is in both of its variables, and the URL has the stored host', async () => {
    expect(await printedBy('sentry', 'process.env')).toMatchObject({
      SENTRY_AUTH_TOKEN: SENTRY_TOKEN,
      SENTRY_ACCESS_TOKEN: SENTRY_TOKEN,
      SENTRY_ORG: 'acme',
      SENTRY_URL: 'https://de.sentry.io',
    });
  });

  test('salesforce: the URL has the stored domain and the default environment', async () => {
    expect(await printedBy('salesforce', 'process.env')).toMatchObject({
      SF_ACCESS_TOKEN: SALESFORCE_TOKEN,
      SF_ORG_INSTANCE_URL: 'https://acme.my.salesforce.com',
    });
  });

  test('google: the key is in a private file that is removed when the command has ended', async () => {
    const { path, mode, text } = await printedBy(
      'google',
      `(() => { const fs = require('fs'), path = process.env.GOOGLE_APPLICATION_CREDENTIALS;
        return { path, mode: fs.statSync(path).mode & 0o777, text: fs.readFileSync(path, 'utf8') } })()`,
    );
    expect({ mode, key: JSON.parse(text) }).toEqual({ mode: 0o600, key: JSON.parse(KEY_FILE) });
    expect(statSync(path, { throwIfNoEntry: false })).toBeUndefined();
  });
});
