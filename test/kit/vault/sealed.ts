/** Seals values for tests: as a program does, and in the format of earlier versions. */
import { SEALED_VALUE_AGE_MS } from '../../../src/contract/limits.ts';
import type { SealedContent, SealingKey } from '../../../src/contract/sealed_value.ts';
import { systemRandom } from '../../../src/crypto/random.ts';
import { sealValue } from '../../../src/crypto/sealed_value.ts';
import { loadSodium } from '../../../src/crypto/sodium.ts';

/** For the field `linear_api_key` of Linear, unless `change` names another one. */
export async function sealFor(
  { public_key, organization, user }: SealingKey,
  value: string,
  change: Partial<SealedContent> = {},
): Promise<string> {
  const bound = {
    organization,
    user,
    service: 'linear',
    field: 'linear_api_key',
    expires_at: new Date(Date.now() + SEALED_VALUE_AGE_MS).toISOString(),
    ...change,
  };
  return sealValue(await loadSodium(), systemRandom, public_key, bound, value);
}

/** The box of any text, after a prefix: of format 2, or of format 1, which was the value alone. */
export async function sealText(
  { public_key }: Pick<SealingKey, 'public_key'>,
  text: string,
  prefix: 'sealed:2:' | 'sealed:' = 'sealed:2:',
): Promise<string> {
  const sodium = await loadSodium();
  const box = sodium.crypto_box_seal(text, Buffer.from(public_key, 'base64'));
  return prefix + Buffer.from(box).toString('base64');
}
