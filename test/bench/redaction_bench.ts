/**
 * The speed of redaction on text that has none of the values: of the matcher alone, and of gzip decoded and redacted beside
 * gzip that is decoded only.
 */
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { Secret } from '../../src/contract/secret.ts';
import { decodeContent } from '../../src/egress/decoder.ts';
import { PatternSet } from '../../src/egress/redaction/pattern_set.ts';
import { Redactor } from '../../src/egress/redaction/redactor.ts';
import { atLeast, median, type Row } from './report.ts';

const CHUNK_BYTES = 64 * 1024;
const DOCUMENT_BYTES = 10_000_000;
const ROUNDS = 15;
const LIMITS = { decoded_bytes: 2 * DOCUMENT_BYTES, ratio: 1_000 };

/** The target for uncompressed text is in MB/s, for compressed text in parts of the decoder's speed. */
export async function benchRedaction(): Promise<Row[]> {
  const document = jsonDocument();
  const compressed = gzipSync(document);
  const one = patternSet(1);
  const fifty = patternSet(50);
  const rows = [
    plainRow('redaction of 1 value, MB/s', document, one, 800),
    plainRow('redaction of 50 values, MB/s', document, fifty, 400),
  ];
  for (const [name, set] of [
    ['1 value', one],
    ['50 values', fifty],
  ] as const) {
    const bare: number[] = [];
    const redacted: number[] = [];
    // Alternately, so that both have the same load.
    for (let round = 0; round < ROUNDS; round++) {
      bare.push(await decodedSpeed(compressed, document.length));
      redacted.push(await decodedSpeed(compressed, document.length, set));
    }
    const ratio = median(redacted.map((speed, at) => speed / (bare[at] ?? Number.NaN)));
    rows.push(
      atLeast(
        `gzip decoded and redacted, ${name}`,
        ratio,
        0.9,
        megabytes(median(redacted)),
        megabytes(median(bare)),
      ),
    );
  }
  return rows;
}

function plainRow(what: string, document: Buffer, set: PatternSet, target: number): Row {
  const speeds = Array.from({ length: ROUNDS }, () => {
    const redactor = new Redactor(set);
    const start = performance.now();
    for (let at = 0; at < document.length; at += CHUNK_BYTES)
      redactor.write(document.subarray(at, at + CHUNK_BYTES));
    redactor.end();
    return speedOf(document.length, start);
  });
  const speed = median(speeds);
  return atLeast(what, speed, target, megabytes(speed), '-');
}

async function decodedSpeed(compressed: Buffer, bytes: number, set?: PatternSet): Promise<number> {
  async function* chunks() {
    for (let at = 0; at < compressed.length; at += CHUNK_BYTES)
      yield compressed.subarray(at, at + CHUNK_BYTES);
  }
  const redactor = set === undefined ? undefined : new Redactor(set);
  const start = performance.now();
  for await (const chunk of decodeContent(chunks(), 'gzip', LIMITS)) redactor?.write(chunk);
  redactor?.end();
  return speedOf(bytes, start);
}

/** Lists as APIs return them. */
function jsonDocument(): Buffer {
  const rows: Buffer[] = [];
  let bytes = 0;
  for (let id = 0; bytes < DOCUMENT_BYTES; id++) {
    const row = Buffer.from(
      JSON.stringify({
        id,
        name: randomBytes(9).toString('base64'),
        url: `https://api.example.com/v1/items/${id}`,
        text: 'the quick brown fox jumps over the lazy dog',
        ok: true,
      }),
    );
    rows.push(row);
    bytes += row.length;
  }
  return Buffer.concat(rows);
}

function patternSet(values: number): PatternSet {
  return new PatternSet(
    Array.from({ length: values }, () => new Secret(`ghp_${randomBytes(27).toString('base64url')}`)),
  );
}

const speedOf = (bytes: number, start: number) => bytes / 1e6 / ((performance.now() - start) / 1000);
const megabytes = (speed: number) => `${speed.toFixed(0)} MB/s`;
