/** The licences of bundled packages are published with the program. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const dist = (name: string) => readFileSync(new URL(`../../dist/${name}`, import.meta.url), 'utf8');

test('the notices have the licence text of each bundled driver', () => {
  const sections = dist('THIRD_PARTY_NOTICES.txt').split(/\n-{80}\n/);
  for (const name of ['pg', 'mysql2', 'bson', 'nodemailer', 'ssh2', 'undici']) {
    const section = sections.find((text) => text.trim().startsWith(`${name} `));
    expect(section, name).toMatch(/permission|permitted|redistribution|licen[cs]e/i);
    expect(section?.length, name).toBeGreaterThan(500);
  }
});

test('the file of keyhold run contains no driver', () => {
  const run = dist('run.cjs');
  for (const text of ['mysql_native_password', 'SASLInitialResponse']) {
    expect(run).not.toContain(text);
  }
  expect(dist('package-mysql2.js')).toContain('mysql_native_password');
  expect(dist('package-pg.js')).toContain('SASLInitialResponse');
});
