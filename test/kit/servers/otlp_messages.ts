/**
 * Decodes what an exporter sends over OTLP/HTTP: the wire format of Protocol Buffers, and the messages of traces and metrics with
 * the numbers of their fields. Independent of the SDK that encodes them.
 */

/** The values of each field, in their order. */
type Fields = ReadonlyMap<number, readonly (Buffer | bigint)[]>;

const VARINT = 0;
const FIXED_64 = 1;
const BYTES = 2;
const FIXED_32 = 5;

function fieldsOf(bytes: Buffer): Fields {
  const fields = new Map<number, (Buffer | bigint)[]>();
  let at = 0;
  const readVarint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error('a number breaks off');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const readBytes = (length: number) => {
    if (at + length > bytes.length) throw new Error('a field breaks off');
    at += length;
    return bytes.subarray(at - length, at);
  };
  while (at < bytes.length) {
    const tag = Number(readVarint());
    const [number, type] = [tag >>> 3, tag & 7];
    const values = fields.get(number) ?? [];
    fields.set(number, values);
    if (type === VARINT) values.push(readVarint());
    else if (type === FIXED_64) values.push(readBytes(8));
    else if (type === BYTES) values.push(readBytes(Number(readVarint())));
    else if (type === FIXED_32) values.push(readBytes(4));
    else throw new Error(`unknown wire type ${type}`);
  }
  return fields;
}

const messages = (fields: Fields, number: number) =>
  (fields.get(number) ?? []).map((value) => fieldsOf(value as Buffer));
const bytesAt = (fields: Fields, number: number) =>
  (fields.get(number)?.[0] as Buffer | undefined) ?? Buffer.alloc(0);
const textAt = (fields: Fields, number: number) => bytesAt(fields, number).toString('utf8');
const numberAt = (fields: Fields, number: number) => Number(fields.get(number)?.[0] ?? 0n);
const fixedAt = (fields: Fields, number: number) => {
  const bytes = bytesAt(fields, number);
  return bytes.length === 8 ? bytes.readBigUInt64LE() : 0n;
};
const doubleAt = (fields: Fields, number: number) => {
  const bytes = bytesAt(fields, number);
  return bytes.length === 8 ? bytes.readDoubleLE() : undefined;
};
const packed = (fields: Fields, number: number): Buffer[] => {
  const all = Buffer.concat((fields.get(number) ?? []) as Buffer[]);
  return Array.from({ length: all.length / 8 }, (_, index) => all.subarray(index * 8, index * 8 + 8));
};

export type Attributes = Readonly<Record<string, string | number | boolean>>;

function attributesAt(fields: Fields, number: number): Attributes {
  return Object.fromEntries(
    messages(fields, number).map((pair) => [textAt(pair, 1), anyValue(bytesAt(pair, 2))]),
  );
}

function anyValue(bytes: Buffer): string | number | boolean {
  const value = fieldsOf(bytes);
  if (value.has(2)) return numberAt(value, 2) === 1;
  if (value.has(3)) return numberAt(value, 3);
  return doubleAt(value, 4) ?? textAt(value, 1);
}

export interface ReceivedSpan {
  readonly trace_id: string;
  readonly span_id: string;
  /** Empty for the first span of a trace. */
  readonly parent_id: string;
  readonly trace_state: string;
  readonly name: string;
  readonly kind: string;
  readonly ms: number;
  readonly attributes: Attributes;
  readonly events: number;
  readonly links: readonly string[];
  readonly is_error: boolean;
  readonly message: string;
  readonly resource: Attributes;
}

const KINDS = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'];
const STATUS_ERROR = 2;

/** Of an ExportTraceServiceRequest. */
export function decodeSpans(body: Buffer): ReceivedSpan[] {
  return messages(fieldsOf(body), 1).flatMap((group) => {
    const resource = attributesAt(messages(group, 1)[0] ?? new Map(), 1);
    return messages(group, 2)
      .flatMap((scope) => messages(scope, 2))
      .map((span) => {
        const status = messages(span, 15)[0] ?? new Map();
        return {
          trace_id: bytesAt(span, 1).toString('hex'),
          span_id: bytesAt(span, 2).toString('hex'),
          trace_state: textAt(span, 3),
          parent_id: bytesAt(span, 4).toString('hex'),
          name: textAt(span, 5),
          kind: KINDS[numberAt(span, 6)] ?? 'unknown',
          ms: Number(fixedAt(span, 8) - fixedAt(span, 7)) / 1e6,
          attributes: attributesAt(span, 9),
          events: messages(span, 11).length,
          links: messages(span, 13).map((link) => bytesAt(link, 2).toString('hex')),
          message: textAt(status, 2),
          is_error: numberAt(status, 3) === STATUS_ERROR,
          resource,
        };
      });
  });
}

export interface ReceivedPoint {
  readonly metric: string;
  readonly kind: 'gauge' | 'sum' | 'histogram';
  readonly attributes: Attributes;
  /** Of a histogram: the number of observations. */
  readonly value: number;
  readonly sum: number | undefined;
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

/** Of an ExportMetricsServiceRequest. */
export function decodePoints(body: Buffer): ReceivedPoint[] {
  return messages(fieldsOf(body), 1)
    .flatMap((group) => messages(group, 2))
    .flatMap((scope) => messages(scope, 2))
    .flatMap((metric) => {
      const name = textAt(metric, 1);
      const plain = ([kind, number]: readonly ['gauge' | 'sum', number]) =>
        messages(metric, number).flatMap((data) =>
          messages(data, 1).map((point) => plainPoint(name, kind, point)),
        );
      const histograms = messages(metric, 9).flatMap((data) =>
        messages(data, 1).map((point) => ({
          metric: name,
          kind: 'histogram' as const,
          attributes: attributesAt(point, 9),
          value: Number(fixedAt(point, 4)),
          sum: doubleAt(point, 5),
          counts: packed(point, 6).map((bytes) => Number(bytes.readBigUInt64LE())),
          bounds: packed(point, 7).map((bytes) => bytes.readDoubleLE()),
        })),
      );
      return [
        ...(
          [
            ['gauge', 5],
            ['sum', 7],
          ] as const
        ).flatMap(plain),
        ...histograms,
      ];
    });
}

function plainPoint(metric: string, kind: 'gauge' | 'sum', point: Fields): ReceivedPoint {
  const value = doubleAt(point, 4) ?? Number(bytesAt(point, 6).readBigInt64LE());
  return { metric, kind, attributes: attributesAt(point, 7), value, sum: undefined, bounds: [], counts: [] };
}
