/**
 * The encodings in which a value may come back in a response: as it is, escaped in JSON (RFC 8259), percent-encoded (RFC 3986,
 * and with `+` for blanks), in base64 and base64url at any of the three alignments (RFC 4648), and in hexadecimal.
 */

/** The encodings of a value as bytes, without duplicates. */
export function encodingsOf(value: string): readonly Buffer[] {
  const bytes = Buffer.from(value);
  const percent = encodeURIComponent(value.toWellFormed());
  const hex = bytes.toString('hex');
  const encoded = new Set([
    value,
    JSON.stringify(value).slice(1, -1),
    escapeNonAscii(value),
    percent,
    percent.replaceAll('%20', '+'),
    percent.replaceAll(/%[0-9A-F]{2}/g, (triplet) => triplet.toLowerCase()),
    hex.replaceAll(/../g, '%$&'),
    hex.toUpperCase().replaceAll(/../g, '%$&'),
    hex,
    hex.toUpperCase(),
    ...[0, 1, 2].flatMap((offset) => [
      base64At(bytes, offset, 'base64'),
      base64At(bytes, offset, 'base64url'),
    ]),
  ]);
  encoded.delete('');
  return [...encoded].map((text) => Buffer.from(text));
}

/** As serializers do that write ASCII only. */
function escapeNonAscii(value: string): string {
  return JSON.stringify(value)
    .slice(1, -1)
    .replaceAll(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The characters that depend on the value alone, if `offset` bytes (modulo 3) and any others are encoded around it. */
function base64At(bytes: Buffer, offset: number, encoding: 'base64' | 'base64url'): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString(encoding);
  const first = Math.ceil((offset * 8) / 6);
  const end = Math.floor(((offset + bytes.length) * 8) / 6);
  return text.slice(first, end);
}
