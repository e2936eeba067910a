/** A service that is not built in, whose definition can be taken away and put back between two openings of a vault. */
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

/** Defines it in a home, or does so no longer. A vault reads its definitions when it is opened. */
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
