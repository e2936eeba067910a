/**
 * Sealed values: `sealed:2:` and the base64 of a sealed box with JSON, whose members bind the value to an organization,
 * a user, a service and a field, until a time, for one use. Spaces after the JSON pad it to a multiple of 1024 bytes, so
 * that the length of the text reveals little about the value. Format 1, `sealed:` and the box of the value alone, is
 * bound to the key only.
 */
import { VaultError } from '../contract/errors.ts';
import { SEALED_VALUE_MAX_CHARACTERS } from '../contract/limits.ts';
import { SealedContent, type SealedFor } from '../contract/sealed_value.ts';
import { parseInput } from '../contract/validation.ts';
import type { RandomBytes } from './random.ts';
import { type BoxKeyPair, openBox, sealBox } from './sealed_box.ts';
import type { LoadedSodium } from './sodium.ts';

const PREFIX = 'sealed:';
const FORMAT_2_PREFIX = 'sealed:2:';
/** Base64 has no colon, so a text of format 1 never matches. */
const NUMBERED_FORMAT = /^sealed:\d+:/;
const NONCE_BYTES = 16;
const PADDED_TO_BYTES = 1024;

/** Also true for text of an unknown format. */
export function isSealedValue(text: string): boolean {
  return text.startsWith(PREFIX);
}

/** Whether the text has the format that is bound to the key only. */
export function isFormat1(text: string): boolean {
  return isSealedValue(text) && !NUMBERED_FORMAT.test(text);
}

/** Throws INVALID_INPUT for an invalid public key and for text that cannot be sealed. */
export function sealValue(
  sodium: LoadedSodium,
  random: RandomBytes,
  public_key: string,
  bound: SealedFor & Pick<SealedContent, 'expires_at'>,
  value: string,
): string {
  // UTF-8 cannot encode half of a surrogate pair and would silently replace it.
  if (!value.isWellFormed()) {
    const message =
      'The value is not well-formed text: it has half of a surrogate pair. Encode it, for example in base64.';
    throw new VaultError('INVALID_INPUT', message);
  }
  const { organization, user, service, field, expires_at } = bound;
  const nonce = random(NONCE_BYTES).toString('base64url');
  const content = parseInput(SealedContent, {
    v: 2,
    organization,
    user,
    service,
    field,
    expires_at,
    nonce,
    value,
  });
  const sealed = FORMAT_2_PREFIX + sealBox(sodium, public_key, padded(JSON.stringify(content)));
  if (sealed.length <= SEALED_VALUE_MAX_CHARACTERS) return sealed;
  throw new VaultError('INVALID_INPUT', 'The value is too large to be sealed.');
}

/** The content of a value of format 2; `undefined` for another format, if it does not decrypt or has another shape. */
export function openSealedValue(
  sodium: LoadedSodium,
  pair: BoxKeyPair,
  text: string,
): SealedContent | undefined {
  if (!text.startsWith(FORMAT_2_PREFIX)) return undefined;
  const json = openBox(sodium, pair, text.slice(FORMAT_2_PREFIX.length));
  if (json === undefined || Buffer.byteLength(json) % PADDED_TO_BYTES !== 0) return undefined;
  try {
    return SealedContent.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}

/** The value of a text of format 1; `undefined` if it does not decrypt. */
export function openFormat1(sodium: LoadedSodium, pair: BoxKeyPair, text: string): string | undefined {
  return openBox(sodium, pair, text.slice(PREFIX.length));
}

function padded(json: string): string {
  const bytes = Buffer.byteLength(json);
  return json + ' '.repeat(Math.ceil(bytes / PADDED_TO_BYTES) * PADDED_TO_BYTES - bytes);
}
