/** A custom service whose definition tests can add and remove before a vault is opened. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const ACME = {
  slug: 'acme',
  name: 'Acme Corp',
  description: 'A service of one’s own.',
  category: 'ai',
  fields: [
    {
      field_id: 'acme_key',
      name: 'Key',
      description: 'The key.',
      required: true,
      secret: true,
      max_length: 100,
    },
  ],
  value_field: { api_key: 'acme_key' },
  credential_types: ['api_key'],
  hosts: [],
  injection: { in: 'none' },
};

/** Adds or removes the definition in a home. A vault reads definitions when it is opened. */
export function customService(home: string): { define(): void; remove(): void } {
  const file = join(home, 'services', 'acme.json');
  return {
    define: () => {
      mkdirSync(join(home, 'services'), { recursive: true });
      writeFileSync(file, JSON.stringify(ACME));
    },
    remove: () => rmSync(file),
  };
}

/** A definition as a person writes it. */
export const INTRANET = {
  slug: 'intranet',
  name: 'Intranet',
  description: 'Our own pages.',
  category: 'other',
  fields: [
    { field_id: 'token', name: 'Token', description: 'It.', required: true, secret: true, max_length: 100 },
  ],
  value_field: { bearer: 'token' },
  credential_types: ['bearer'],
  hosts: ['intranet.example.com'],
  injection: { in: 'header', headers: { Authorization: 'Bearer {token}' } },
};
