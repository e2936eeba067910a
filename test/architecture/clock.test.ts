/**
 * Time spans are measured with `performance.now()` or `process.hrtime()`: the system clock may be set back, and then a wait
 * that ends by it does not end. `Date` is for timestamps only.
 */
import { describe, expect, test } from 'vitest';
import { readSources } from '../kit/source_tree.ts';
import { scanSource } from './scan_source.ts';

/** Files that calculate with or compare timestamps, and what for. */
const TIMESTAMP_FILES: Readonly<Record<string, string>> = {
  'src/app/notify/webhook_signature.ts': 'the header webhook-timestamp',
  'src/cli/commands/keys/list.ts': 'a key has expired',
  'src/cli/commands/seal.ts': 'the end of a sealed value',
  'src/cli/terminal/expiry.ts': 'the end of a key or credential is in the future',
  'src/cli/terminal/relative_time.ts': 'ages and ends as people read and type them',
  'src/contract/timestamp.ts': 'the range and format of timestamps',
  'src/crypto/request_id.ts': 'a ULID begins with a timestamp',
  'src/http/auth/rate_limits.ts': 'a response header with a timestamp',
  'src/index.ts': 'the end of a sealed value',
  'src/services/missing_fields.ts': 'a credential expires soon',
  'src/use/call/response/hints.ts': 'the date in Retry-After',
  'src/use/signers/jwt.ts': 'claims iat and exp',
  'src/use/values/totp.ts': 'the time step of a one-time code',
  'src/vault/api_keys/api_keys.ts': 'the end of a key is in the future',
  'src/vault/api_keys/policy.ts': 'a key has expired',
  'src/vault/approvals/access_requests.ts': 'an access request has expired',
  'src/vault/approvals/use_approval.ts': 'when a grant ends',
  'src/vault/approvals/use_approvals.ts': 'an approval has expired',
  'src/vault/credentials/changes.ts': 'the end of a credential is in the future',
  'src/vault/credentials/status.ts': 'a credential has expired',
  'src/vault/handles/records.ts': 'handles have expired',
  'src/vault/nodes/count_exchange.ts': 'when another node was seen, and when its counts end',
  'src/vault/nodes/readiness.ts': 'the clock differs from that of the database server',
  'src/vault/people/sign_in_attempts.ts': 'attempts expire at a timestamp',
  'src/vault/people/sign_in_tickets.ts': 'tickets expire at a timestamp',
  'src/vault/people/web_sessions.ts': 'sessions expire at a timestamp',
  'src/vault/protection/pending_values.ts': 'pending values have expired',
  'src/vault/records/last_used.ts':
    'a timestamp is written again if it differs by a minute, in either direction',
  'src/vault/sealed_values/reader.ts': 'a sealed value has expired',
  'src/vault/sealed_values/used_nonces.ts': 'a sealed value has expired',
  'src/vault/uses/due_tests.ts': 'the last test is older than the interval',
  'src/vault/uses/policy.ts': 'the right to use a credential has ended',
  'src/web/browser/relative_time.ts': 'how long ago a timestamp was',
  'src/web/layout/expiry.tsx': 'a key or a credential expires soon',
};

/** A number made of a date, or arithmetic with a date. */
const CALCULATIONS = [
  /\bDate\s*\.\s*now\b/,
  /\bDate\s*\.\s*parse\b/,
  /\.\s*getTime\s*\(/,
  /\b(?:Number|BigInt)\s*\(\s*new\s+Date\b/,
  /(?:[-+*/%<]|(?<!=)>)\s*new\s+Date\b/,
  /\bnew\s+Date\s*\([^()]*\)\s*(?:[-*/%<>]|\+(?!\s*'))/,
  /\bnow\(\)\s*[-*/%<>]/,
  /(?:[-+*/%<]|(?<!=)>)=?\s*(?:this\.)?(?:[#\w]+\.)*now\(\)(?!\s*\.\s*to)/,
];

function wallClockCalculations(code: string): readonly string[] {
  return code
    .split('\n')
    .filter((line) => CALCULATIONS.some((pattern) => pattern.test(line.replaceAll('performance.now()', ''))))
    .map((line) => line.trim());
}

describe('time spans', () => {
  test('no file calculates with the system clock, except for timestamps', () => {
    const sources = [...readSources('src', 'tools').values()];
    const found = sources.filter(({ text }) => wallClockCalculations(scanSource(text).code).length > 0);
    expect(found.map(({ path }) => path).sort()).toEqual(Object.keys(TIMESTAMP_FILES));
  });

  test('the files that calculate with timestamps wait for nothing', () => {
    const sources = [...readSources('src', 'tools').values()];
    const waiting = sources.filter(
      ({ path, text }) =>
        path in TIMESTAMP_FILES && /\b(?:setTimeout|setInterval|sleep|Atomics)\b/.test(scanSource(text).code),
    );
    expect(waiting.map(({ path }) => path)).toEqual([]);
  });

  test.each([
    'const until = Date.now() + LIMIT_MS;',
    'if (this.#now().getTime() - failed_ms < LIMIT_MS) return;',
    'const age = new Date() - started;',
    'while (new Date(x) < until) wait();',
    'const age = now() - started;',
    'const age_ms = Number(new Date());',
    'const started = +new Date();',
  ])('%s is found', (line) => {
    expect(wallClockCalculations(line)).toEqual([line]);
  });

  test.each([
    'const until = performance.now() + LIMIT_MS;',
    'const entry = newEntry(caller, action, now(), {});',
    'const now = () => new Date();',
    'created_at: this.#now().toISOString(),',
  ])('%s is allowed', (line) => {
    expect(wallClockCalculations(line)).toEqual([]);
  });
});
