/** The parts of a backup as bytes: heads first, then keys, records and entries, and the counts at the end. */
import { damagedStream } from '../../crypto/secret_stream.ts';
import type { CopiedRecord, StoredHead, WrappedKey } from '../../store/store.ts';
import type { CopiedEntries } from '../../store/transfer.ts';

export interface BackupCounts {
  readonly keys: number;
  readonly records: number;
  readonly entries: number;
}

export type BackupPart =
  | { readonly kind: 'heads'; readonly heads: readonly StoredHead[] }
  | { readonly kind: 'keys'; readonly keys: readonly WrappedKey[] }
  | { readonly kind: 'records'; readonly records: readonly CopiedRecord[] }
  | ({ readonly kind: 'entries' } & CopiedEntries)
  | { readonly kind: 'end'; readonly counts: BackupCounts };

/** The first byte of a part. */
const KINDS = ['heads', 'keys', 'records', 'entries', 'end'] as const;
const NUMBER_BYTES = 8;
const LENGTH_BYTES = 4;

export function encodePart(part: BackupPart): Buffer {
  const fields = new FieldWriter(KINDS.indexOf(part.kind));
  switch (part.kind) {
    case 'heads':
      for (const { organization, position, link } of part.heads)
        fields.bytes(organization).number(position).bytes(link);
      break;
    case 'keys':
      for (const { owner, version, wrapped } of part.keys) fields.bytes(owner).number(version).bytes(wrapped);
      break;
    case 'records':
      for (const record of part.records) {
        const { seq, kind, id, scope, index, organization } = record;
        fields.number(seq).bytes(Buffer.from(kind)).bytes(id).bytes(scope).bytes(index).bytes(organization);
        fields.number(record.revision).number(record.key_version);
        fields.bytes(record.sealed_meta).bytes(record.sealed_values);
      }
      break;
    case 'entries':
      fields.bytes(part.organization);
      for (const { position, key_version, sealed, link, head_mac } of part.entries)
        fields.number(position).number(key_version).bytes(sealed).bytes(link).bytes(head_mac);
      break;
    case 'end':
      fields.number(part.counts.keys).number(part.counts.records).number(part.counts.entries);
  }
  return fields.toBuffer();
}

/** Throws CORRUPT for bytes that `encodePart` did not write. */
export function decodePart(bytes: Buffer): BackupPart {
  const kind = KINDS[bytes[0] ?? KINDS.length];
  const fields = new FieldReader(bytes.subarray(1));
  switch (kind) {
    case 'heads':
      return { kind, heads: fields.rows(() => headOf(fields)) };
    case 'keys':
      return {
        kind,
        keys: fields.rows(() => ({
          owner: fields.bytes(),
          version: fields.number(),
          wrapped: fields.bytes(),
        })),
      };
    case 'records':
      return { kind, records: fields.rows(() => recordOf(fields)) };
    case 'entries':
      return {
        kind,
        organization: fields.bytes(),
        entries: fields.rows(() => ({
          position: fields.number(),
          key_version: fields.number(),
          sealed: fields.bytes(),
          link: fields.bytes(),
          head_mac: fields.bytes(),
        })),
      };
    case 'end': {
      const [keys, records, entries] = [fields.number(), fields.number(), fields.number()];
      return { kind, counts: { keys, records, entries } };
    }
    default:
      throw damagedStream();
  }
}

function headOf(fields: FieldReader): StoredHead {
  return { organization: fields.bytes(), position: fields.number(), link: fields.bytes() };
}

function recordOf(fields: FieldReader): CopiedRecord {
  return {
    seq: fields.number(),
    kind: fields.bytes().toString(),
    id: fields.bytes(),
    scope: fields.bytes(),
    index: fields.bytes(),
    organization: fields.bytes(),
    revision: fields.number(),
    key_version: fields.number(),
    sealed_meta: fields.bytes(),
    sealed_values: fields.bytes(),
  };
}

class FieldWriter {
  readonly #parts: Buffer[];

  constructor(kind: number) {
    this.#parts = [Buffer.of(kind)];
  }

  number(value: number): this {
    const bytes = Buffer.alloc(NUMBER_BYTES);
    bytes.writeBigUInt64BE(BigInt(value));
    this.#parts.push(bytes);
    return this;
  }

  bytes(value: Buffer): this {
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32BE(value.length);
    this.#parts.push(length, value);
    return this;
  }

  toBuffer(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

class FieldReader {
  #rest: Buffer;

  constructor(bytes: Buffer) {
    this.#rest = bytes;
  }

  rows<Row>(read: () => Row): Row[] {
    const rows: Row[] = [];
    while (this.#rest.length > 0) rows.push(read());
    return rows;
  }

  number(): number {
    return Number(this.#take(NUMBER_BYTES).readBigUInt64BE());
  }

  bytes(): Buffer {
    return this.#take(this.#take(LENGTH_BYTES).readUInt32BE());
  }

  #take(length: number): Buffer {
    if (this.#rest.length < length) throw damagedStream();
    const taken = this.#rest.subarray(0, length);
    this.#rest = this.#rest.subarray(length);
    return taken;
  }
}
