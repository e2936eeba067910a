/** `--set FIELD=VALUE`: values of fields that are not secret, such as a host or a region. */
import { VaultError } from '../../contract/errors.ts';
import type { Service } from '../../contract/service/service.ts';

export const SET_OPTION = [
  '--set <field=value>',
  'set a field that is not secret; may be given several times',
] as const;

export function collectPair(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** Throws INVALID_INPUT for a secret field: arguments are visible to other processes. Messages repeat no argument. */
export function parseSetOptions(
  { name, slug, fields }: Service,
  pairs: readonly string[] | undefined,
): Record<string, string> {
  const given: Record<string, string> = {};
  for (const pair of pairs ?? []) {
    const at = pair.indexOf('=');
    const id = pair.slice(0, Math.max(at, 0));
    const field = fields.find(({ field_id }) => field_id === id);
    const plain = fields.filter(({ secret }) => !secret).map(({ field_id }) => field_id);
    if (at < 1 || field === undefined) {
      const known = plain.length === 0 ? 'all of its fields are secret' : `one of ${plain.join(', ')}`;
      throw new VaultError('INVALID_INPUT', `--set takes FIELD=VALUE with a field of ${name}: ${known}.`);
    }
    if (field.secret) {
      throw new VaultError(
        'INVALID_INPUT',
        `${field.field_id} is secret and not accepted as an argument. Use \`keyhold update ${slug} ${field.field_id}\`, which prompts for it.`,
      );
    }
    if (Object.hasOwn(given, id))
      throw new VaultError('INVALID_INPUT', 'A field is named twice. Name it once.');
    given[id] = pair.slice(at + 1);
  }
  return given;
}
