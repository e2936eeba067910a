/**
 * Opens the sealed values of one request. Every reason to refuse one gives the same error, so that a caller who holds a
 * sealed text learns nothing about the value.
 */
import { type Caller, isLocalCommandLine } from '../../contract/caller.ts';
import { VaultError } from '../../contract/errors.ts';
import { SEALED_VALUE_MAX_AGE_MS } from '../../contract/limits.ts';
import type { BoxKeyPair } from '../../crypto/sealed_box.ts';
import { isFormat1, isSealedValue, openFormat1, openSealedValue } from '../../crypto/sealed_value.ts';
import type { CredentialRef } from '../credentials/codec.ts';
import type { VaultDependencies } from '../dependencies.ts';
import type { OrganizationKeyring } from '../keys/keyring.ts';

/** A nonce that the write must remember, and may not have been used before. */
export interface SealedNonce {
  readonly nonce: string;
  readonly expires_at: string;
}

export class SealedValueReader {
  readonly #parts: Pick<VaultDependencies, 'sodium' | 'services' | 'now'>;
  readonly #caller: Caller;
  readonly #boxes: readonly BoxKeyPair[];
  readonly #ref: Pick<CredentialRef, 'user' | 'service'>;
  readonly #nonces: SealedNonce[] = [];

  private constructor(
    parts: Pick<VaultDependencies, 'sodium' | 'services' | 'now'>,
    caller: Caller,
    boxes: readonly BoxKeyPair[],
    ref: Pick<CredentialRef, 'user' | 'service'>,
  ) {
    this.#parts = parts;
    this.#caller = caller;
    this.#boxes = boxes;
    this.#ref = ref;
  }

  /**
   * `ref`: the credential that the values are stored in. `texts`: by field; reads no key unless one of them is sealed. `user`:
   * who the values are sealed for, by default the caller.
   */
  static async create(
    parts: Pick<VaultDependencies, 'sodium' | 'services' | 'now' | 'keys'>,
    caller: Caller,
    keyring: OrganizationKeyring,
    { service }: Pick<CredentialRef, 'service'>,
    texts: ReadonlyMap<string, string>,
    user = caller.user,
  ): Promise<SealedValueReader> {
    const has_sealed = [...texts.values()].some(isSealedValue);
    const boxes = has_sealed ? await parts.keys.boxes(keyring) : [];
    return new SealedValueReader(parts, caller, boxes, { user, service });
  }

  /** Those of the values that were opened. */
  get nonces(): readonly SealedNonce[] {
    return this.#nonces;
  }

  /** The value, if it was sealed for this field. Throws INVALID_INPUT. */
  readonly open = (text: string, field: string): string => {
    const { sodium, services, now } = this.#parts;
    if (isFormat1(text)) return this.#openFormat1(text);
    const content = this.#firstOpened((box) => openSealedValue(sodium, box, text));
    if (content === undefined) throw sealedValueError();
    const remaining_ms = Date.parse(content.expires_at) - now().getTime();
    const is_bound =
      content.organization === this.#caller.organization &&
      content.user === this.#ref.user &&
      (services.find(content.service)?.slug ?? content.service) === this.#ref.service &&
      content.field === field;
    const is_current = remaining_ms > 0 && remaining_ms <= SEALED_VALUE_MAX_AGE_MS;
    const is_new = this.#nonces.every(({ nonce }) => nonce !== content.nonce);
    if (!is_bound || !is_current || !is_new) throw sealedValueError();
    this.#nonces.push({ nonce: content.nonce, expires_at: content.expires_at });
    return content.value;
  };

  /** Format 1 can be stored by any user, anywhere and again and again: only the person at the machine may still use it. */
  #openFormat1(text: string): string {
    if (!isLocalCommandLine(this.#caller)) {
      throw new VaultError(
        'INVALID_INPUT',
        'The sealed value has the old format, which only the command line on the machine of the vault accepts. Seal the value again with `keyhold seal SERVICE FIELD`.',
        { reason: 'sealed_value_unreadable' },
      );
    }
    const value = this.#firstOpened((box) => openFormat1(this.#parts.sodium, box, text));
    if (value === undefined) throw sealedValueError();
    return value;
  }

  /** With the first key pair that opens the value: the text does not name its key. */
  #firstOpened<Opened>(open: (box: BoxKeyPair) => Opened | undefined): Opened | undefined {
    for (const box of this.#boxes) {
      const opened = open(box);
      if (opened !== undefined) return opened;
    }
    return undefined;
  }
}

/** The one error for a sealed value that cannot be used. */
export function sealedValueError(): VaultError {
  return new VaultError(
    'INVALID_INPUT',
    'The sealed value cannot be used: it is damaged or incomplete, was sealed for another vault, user, service or field, or to a key that was rotated, has expired, was used before, or does not fit the field. Seal the value again with `keyhold seal SERVICE FIELD`.',
    { reason: 'sealed_value_unreadable' },
  );
}
