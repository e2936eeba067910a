/** A vault with credentials for tests of `keyhold run`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ACME } from '../vault/custom_service.ts';
import { keyholdOk } from './cli.ts';

const [KEY] = ACME.fields;

/** Has variables of all kinds: two names, a private file, and URLs with a secret and with a plain field. */
const ACME_WITH_VARIABLES = {
  ...ACME,
  fields: [
    { ...KEY, env: ['ACME_KEY', 'ACME_API_KEY'], env_file: ['ACME_KEY_FILE'] },
    { ...KEY, field_id: 'acme_host', name: 'Host', required: false, secret: false },
  ],
  environment: {
    ACME_URL: 'https://{acme_host}/v1',
    ACME_DSN: 'acme://user:{acme_key}@{acme_host}/db',
  },
};

/** Defines the service `acme` and stores each credential: fields by service id. */
export async function fillHome(
  home: string,
  credentials: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Promise<void> {
  mkdirSync(join(home, 'services'), { recursive: true });
  writeFileSync(join(home, 'services', 'acme.json'), JSON.stringify(ACME_WITH_VARIABLES));
  await keyholdOk(home, ['init']);
  await keyholdOk(home, ['services', 'approve', 'acme', '--yes']);
  for (const [service_id, fields] of Object.entries(credentials))
    await keyholdOk(home, ['update', service_id, '--create', '--stdin'], { stdin: JSON.stringify(fields) });
}
