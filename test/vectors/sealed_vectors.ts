/** Makes `sealed-v2.json`: sealed values of format 2, with the text inside, and texts that a vault must refuse. */
import type { SealedContent } from '../../src/contract/sealed_value.ts';
import { boxKeyPair } from '../../src/crypto/sealed_box.ts';
import { loadSodium } from '../../src/crypto/sodium.ts';
import { deterministicRandom } from './deterministic_random.ts';
import { flipped, sealedBox } from './key_vectors.ts';
import type { SealedVectors } from './vector_files.ts';

const PREFIX = 'sealed:2:';

export async function makeSealedVectors(): Promise<SealedVectors> {
  const sodium = await loadSodium();
  const random = deterministicRandom('sealed-v2');
  const seed = random(32);
  const pair = boxKeyPair(sodium, seed);
  const box = (text: string) => sealedBox(sodium, random(32), pair.public_key, Buffer.from(text));
  const seal = (text: string) => PREFIX + box(text).toString('base64');
  const pad = (json: string) => {
    const bytes = Buffer.byteLength(json);
    return json + ' '.repeat(Math.ceil(bytes / 1024) * 1024 - bytes);
  };
  const content = (value: string): SealedContent => ({
    v: 2,
    organization: 'local',
    user: 'me',
    service: 'linear',
    field: 'linear_api_key',
    expires_at: '2026-01-31T12:00:00Z',
    nonce: random(16).toString('base64url'),
    value,
  });
  const values = ['lin_api_abc123def456789', 'é 🔑\n', 'k'.repeat(1_000)];
  const sealed_values = values.map((value) => {
    const fields = content(value);
    const text = pad(JSON.stringify(fields));
    return { content: fields, text, sealed: seal(text) };
  });
  const good = content('value');
  const whole = seal(pad(JSON.stringify(good)));
  const bytes = Buffer.from(whole.slice(PREFIX.length), 'base64');
  const text = (changed: Buffer) => PREFIX + changed.toString('base64');
  const { nonce: _, ...no_nonce } = good;
  const failing: [string, string][] = [
    ['a bit of the ephemeral key flipped', text(flipped(bytes, 0))],
    ['a bit of the tag flipped', text(flipped(bytes, 32))],
    ['a bit of the content flipped', text(flipped(bytes, bytes.length - 1))],
    ['the last byte missing', text(bytes.subarray(0, -1))],
    ['the prefix alone', PREFIX],
    ['base64 without its padding', whole.replace(/=+$/, '')],
    ['base64 with a line break', `${whole}\n`],
    ['version 1 in the content', seal(pad(JSON.stringify({ ...good, v: 1 })))],
    ['no nonce', seal(pad(JSON.stringify(no_nonce)))],
    ['a nonce of 15 bytes', seal(pad(JSON.stringify({ ...good, nonce: random(15).toString('base64url') })))],
    ['an unknown member', seal(pad(JSON.stringify({ ...good, more: true })))],
    ['an expiry without an offset', seal(pad(JSON.stringify({ ...good, expires_at: '2026-01-31T12:00:00' })))],
    ['no padding', seal(JSON.stringify(good))],
    ['the value without JSON', seal(pad('value'))],
  ];
  return {
    format: 'sealed value 2',
    seed: seed.toString('hex'),
    public_key: pair.public_key.toString('base64'),
    private_key: pair.private_key.toString('hex'),
    sealed_values,
    failing: failing.map(([name, sealed]) => ({ name, sealed })),
  };
}
