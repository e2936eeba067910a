/**
 * The encodings in which a value may come back in a response: as it is, escaped in JSON (RFC 8259), percent-encoded (RFC 3986,
 * and with `+` for blanks), in base64 and base64url at any of the three alignments (RFC 4648), and in hexadecimal. Two steps
 * are covered where they are usual: a value in a URL or in JSON that is encoded once more.
 */

/** Shorter texts occur in other text by chance, and slow the search down: they are found as whole tokens only. */
export const PATTERN_MIN_BYTES = 8;
/** The base64 text of a shorter value is shorter than `PATTERN_MIN_BYTES`. */
const ALIGNED_MIN_BYTES = 6;

/** The encodings of a value as bytes, without duplicates. */
export function encodingsOf(value: string): readonly Buffer[] {
  const bytes = Buffer.from(value);
  const percent = encodeURIComponent(value.toWellFormed());
  const form = new URLSearchParams({ v: value }).toString().slice('v='.length);
  const json = JSON.stringify(value).slice(1, -1);
  const ascii = escapeUnits(json, /[^ -~]/g);
  const hex = bytes.toString('hex');
  const encoded = new Set([
    value,
    // UTF-8 in a header, whose bytes are read as characters (RFC 9110, section 5.5).
    bytes.toString('latin1'),
    json,
    json.replaceAll('/', '\\/'),
    ascii,
    ascii.replaceAll('/', '\\/'),
    ascii.replaceAll(/\\u[0-9a-f]{4}/g, (unit) => `\\u${unit.slice(2).toUpperCase()}`),
    escapeUnits(json, /[<>&\u2028\u2029]/g),
    percent,
    percent.replaceAll('%20', '+'),
    percent.replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`),
    form,
    form.replaceAll('+', '%20'),
    percent.replaceAll(/%[0-9A-F]{2}/g, (triplet) => triplet.toLowerCase()),
    hex.replaceAll(/../g, '%$&'),
    hex.toUpperCase().replaceAll(/../g, '%$&'),
    ...binaryFormsOf(bytes),
    ...twice([percent, form, json].filter((once) => once !== value)),
  ]);
  encoded.delete('');
  return [...encoded].map((text) => Buffer.from(text));
}

/** In hexadecimal, base64 and base64url. */
function binaryFormsOf(bytes: Buffer): string[] {
  const hex = bytes.toString('hex');
  const base64 = (['base64', 'base64url'] as const).flatMap((encoding) =>
    // A part of a base64 text is not a token, so a short value is found only if it is the whole text.
    bytes.length < ALIGNED_MIN_BYTES
      ? [bytes.toString(encoding).replace(/=+$/, '')]
      : [0, 1, 2]
          .map((offset) => base64At(bytes, offset, encoding))
          .filter(({ length }) => length >= PATTERN_MIN_BYTES),
  );
  return [hex, hex.toUpperCase(), ...base64];
}

/** Encodings of a value that is already encoded in a URL or in JSON. Only values with such characters have them. */
function twice(encoded: readonly string[]): string[] {
  return encoded.flatMap((once) => {
    const percent = encodeURIComponent(once);
    return [
      ...binaryFormsOf(Buffer.from(once)),
      percent,
      percent.replaceAll(/%(?:25)*[0-9A-F]{2}/g, (triplet) => triplet.toLowerCase()),
      JSON.stringify(once).slice(1, -1),
    ];
  });
}

/** As serializers do that write ASCII only (Python), or none of the characters of HTML (Go). */
function escapeUnits(json: string, units: RegExp): string {
  return json.replaceAll(units, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The characters that depend on the value alone, if `offset` bytes (modulo 3) and any others are encoded around it. */
function base64At(bytes: Buffer, offset: number, encoding: 'base64' | 'base64url'): string {
  const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString(encoding);
  const first = Math.ceil((offset * 8) / 6);
  const end = Math.floor(((offset + bytes.length) * 8) / 6);
  return text.slice(first, end);
}
