/** The schemas of the vector files, for other implementations too. Byte strings are hex unless their name has another encoding. */
import fs from 'node:fs';
import type { ErrorCode, ErrorReason } from '../../src/contract/errors.ts';
import type { SealedContent } from '../../src/contract/sealed_value.ts';
import type { ReaderContext } from './independent_reader.ts';

export type CipherName = 'aes-256-gcm' | 'xchacha20-poly1305';

/** How an attempt that must fail fails. */
export interface ExpectedError {
  readonly code: ErrorCode;
  readonly reason: ErrorReason;
}

export interface ContextVector {
  readonly kind: string;
  readonly id: string;
  readonly scope: string;
  readonly index: string;
  readonly revision: number;
  readonly part: 'meta' | 'values' | 'audit';
  readonly key_version: number;
}

export interface SealingVector {
  readonly name: string;
  readonly cipher: CipherName;
  readonly purpose_key: string;
  readonly context: ContextVector;
  readonly nonce: string;
  /** UTF-8 bytes; the plaintext is these, `plaintext_repeat` times. */
  readonly plaintext: string;
  readonly plaintext_repeat: number;
  readonly sealed_base64: string;
}

export interface FailingVector {
  readonly name: string;
  readonly purpose_key: string;
  readonly context: ContextVector;
  readonly sealed_base64: string;
  readonly error: ExpectedError;
}

export interface RecordVectors {
  readonly format: string;
  readonly padded_sizes: readonly { readonly plaintext_bytes: number; readonly padded_bytes: number }[];
  readonly sealing: readonly SealingVector[];
  readonly failing: readonly FailingVector[];
}

export interface AuditEntryVector {
  readonly position: number;
  readonly cipher: CipherName;
  readonly nonce: string;
  /** UTF-8 bytes of a JSON object. */
  readonly plaintext: string;
  readonly sealed_base64: string;
  readonly link: string;
  /** The head MAC that is stored with this entry while it is the last. */
  readonly end_seal: string;
}

export interface AuditVectors {
  readonly format: string;
  readonly audit_key: string;
  readonly audit_link_key: string;
  readonly organization: string;
  readonly key_version: number;
  readonly first_link: string;
  readonly entries: readonly AuditEntryVector[];
  readonly failing_entries: readonly {
    readonly name: string;
    readonly organization: string;
    readonly position: number;
    readonly key_version: number;
    readonly sealed_base64: string;
    readonly error: ExpectedError;
  }[];
  /** Of the first three follow another link, another seal of the end, or both. */
  readonly wrong_links: readonly {
    readonly name: string;
    readonly previous_link: string;
    readonly position: number;
    readonly sealed_base64: string;
    readonly link: string;
    readonly end_seal: string;
  }[];
}

interface WrappedKeyVector {
  readonly root_key: string;
  readonly owner: string;
  readonly version: number;
  readonly wrapped: string;
}

export interface KeyVectors {
  readonly format: string;
  readonly root_key_ids: readonly { readonly root_key: string; readonly root_key_id: string }[];
  readonly purpose_keys: readonly {
    readonly from: 'data key' | 'vault key';
    readonly key: string;
    readonly purpose: string;
    readonly purpose_key: string;
  }[];
  readonly record_keys: readonly {
    readonly purpose_key: string;
    readonly cipher_byte: number;
    readonly id: string;
    readonly kind: string;
    readonly record_key: string;
  }[];
  readonly blind_indexes: readonly {
    readonly index_key: string;
    readonly label: string;
    readonly parts: readonly string[];
    readonly blind_index: string;
  }[];
  readonly wrapped_keys: readonly (WrappedKeyVector & { readonly nonce: string; readonly key: string })[];
  readonly failing_wrapped_keys: readonly (WrappedKeyVector & {
    readonly name: string;
    readonly error: ExpectedError;
  })[];
  readonly passphrases: readonly {
    readonly passphrase: string;
    readonly salt: string;
    readonly key: string;
  }[];
  readonly sealed_boxes: readonly {
    readonly seed: string;
    readonly public_key: string;
    readonly private_key: string;
    readonly plaintext: string;
    /** As it travels: `sealed:` and base64. */
    readonly sealed: string;
  }[];
  readonly failing_sealed_boxes: readonly {
    readonly name: string;
    readonly seed: string;
    readonly sealed: string;
    readonly error: ExpectedError;
  }[];
}

export interface SealedVectors {
  readonly format: string;
  readonly seed: string;
  /** Base64, as a vault returns it. */
  readonly public_key: string;
  readonly private_key: string;
  readonly sealed_values: readonly {
    readonly content: SealedContent;
    /** What is in the box: JSON and spaces. */
    readonly text: string;
    readonly sealed: string;
  }[];
  /** All are refused with the same error. */
  readonly failing: readonly { readonly name: string; readonly sealed: string }[];
}

export interface VectorFiles {
  readonly 'sealed-v2.json': SealedVectors;
  readonly 'record-v1.json': RecordVectors;
  readonly 'audit-v1.json': AuditVectors;
  readonly 'keys-v1.json': KeyVectors;
}

export function vectorPath(name: keyof VectorFiles): string {
  return new URL(name, import.meta.url).pathname;
}

export function readVectors<Name extends keyof VectorFiles>(name: Name): VectorFiles[Name] {
  return JSON.parse(fs.readFileSync(vectorPath(name), 'utf8')) as VectorFiles[Name];
}

export const hex = (text: string): Buffer => Buffer.from(text, 'hex');
export const base64 = (text: string): Buffer => Buffer.from(text, 'base64');

export function contextOf(context: ContextVector): ReaderContext {
  return { ...context, id: hex(context.id), scope: hex(context.scope), index: hex(context.index) };
}

export function plaintextOf({ plaintext, plaintext_repeat }: SealingVector): string {
  return hex(plaintext).toString('utf8').repeat(plaintext_repeat);
}
