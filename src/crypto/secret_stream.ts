/**
 * A stream of encrypted messages: crypto_secretstream_xchacha20poly1305 of libsodium. The reader finds every changed, missing,
 * repeated and reordered message, and a stream that ends before its last message.
 */
import { VaultError } from '../contract/errors.ts';
import type { LoadedSodium } from './sodium.ts';

/** The nonce that the stream begins with. */
export const STREAM_HEADER_BYTES = 24;
/** Added to each message. */
export const STREAM_OVERHEAD_BYTES = 17;

type State = ReturnType<LoadedSodium['crypto_secretstream_xchacha20poly1305_init_push']>['state'];

export class SecretStreamWriter {
  readonly #sodium: LoadedSodium;
  readonly #state: State;
  #associated: Buffer | null;
  readonly header: Buffer;

  /** `associated`: bytes that the reader must know too. They are authenticated, and no part of the stream. */
  constructor(sodium: LoadedSodium, key: Buffer, associated: Buffer) {
    const { state, header } = sodium.crypto_secretstream_xchacha20poly1305_init_push(key);
    this.#sodium = sodium;
    this.#state = state;
    this.header = Buffer.from(header);
    this.#associated = associated;
  }

  encrypt(message: Buffer, is_last: boolean): Buffer {
    const sodium = this.#sodium;
    const tag = is_last
      ? sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL
      : sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
    const sealed = sodium.crypto_secretstream_xchacha20poly1305_push(
      this.#state,
      message,
      this.#associated,
      tag,
    );
    this.#associated = null;
    return Buffer.from(sealed);
  }
}

export class SecretStreamReader {
  readonly #sodium: LoadedSodium;
  readonly #state: State;
  #associated: Buffer | null;
  /** The last message was decrypted. */
  has_ended = false;

  constructor(sodium: LoadedSodium, key: Buffer, header: Buffer, associated: Buffer) {
    this.#sodium = sodium;
    this.#state = sodium.crypto_secretstream_xchacha20poly1305_init_pull(header, key);
    this.#associated = associated;
  }

  /** Throws CORRUPT unless it is the next message of the stream, unchanged. */
  decrypt(sealed: Buffer): Buffer {
    const opened =
      !this.has_ended &&
      sealed.length >= STREAM_OVERHEAD_BYTES &&
      this.#sodium.crypto_secretstream_xchacha20poly1305_pull(this.#state, sealed, this.#associated);
    if (opened === false) throw damagedStream();
    this.#associated = null;
    this.has_ended = opened.tag === this.#sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL;
    return Buffer.from(opened.message);
  }
}

export function damagedStream(): VaultError {
  return new VaultError(
    'CORRUPT',
    'The backup is damaged: a part of it was changed, moved or cut off. Nothing was restored from it. Use another copy of it, or another backup.',
    { reason: 'backup_damaged' },
  );
}
