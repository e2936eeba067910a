/** Names of new records: what looks like another name is refused. */
import { describe, expect, test } from 'vitest';
import { findNameProblem, nameSkeleton } from '../../src/contract/name_rules.ts';
import { outcomeOf } from '../kit/outcome.ts';
import { openTenants } from '../kit/vault/tenants.ts';

describe('a name', () => {
  test.each([
    ['a zero-width space', 'an\u200ba', 'must not hold invisible characters'],
    ['a joiner between letters', 'an\u200da', 'must not hold invisible characters'],
    ['a direction mark', 'ana\u202e', 'must not hold invisible characters'],
    ['a Hangul filler', 'an\u3164a', 'must not hold invisible characters'],
    ['a variation selector', 'ana\ufe0f', 'must not hold invisible characters'],
    ['a line separator', 'a\u2028b', 'must not hold invisible characters'],
    ['a decomposed letter', 'Jose\u0301', 'must be normalized (Unicode NFKC); type it again'],
    ['a ligature', 'ﬁn', 'must be normalized (Unicode NFKC); type it again'],
    ['a Cyrillic letter among Latin ones', 'аna', 'must not mix letters of different scripts'],
    ['a Greek letter among Latin ones', 'οpen', 'must not mix letters of different scripts'],
  ])('is refused with %s', (_, name, problem) => {
    expect(findNameProblem(name)).toBe(problem);
  });

  test.each([
    'ana',
    'José',
    'Ана',
    'рабочий github',
    '仕事 Slack',
    'می‌خواهم',
    '👩‍💻 key',
    '\u2764\ufe0f key',
    'ana@example.com',
    'a|b',
  ])('may be %s', (name) => {
    expect(findNameProblem(name)).toBeUndefined();
  });

  test('has the skeleton of the names that it is confused with', () => {
    for (const name of ['OpenAI', 'open-ai', 'ОрепАІ', '0penAl', 'ＯｐｅｎＡＩ'])
      expect(nameSkeleton(name)).toBe(nameSkeleton('openai'));
    expect(nameSkeleton('anthropic')).not.toBe(nameSkeleton('openai'));
  });
});

test('a user, a unit, a stack and a credential get no name that looks like another one, and nothing is created', async () => {
  const tenants = await openTenants();
  const { vault } = tenants;
  const ann = await tenants.user('acme', 'ann');
  const admin = await tenants.admin('acme');
  const name = 'аna';
  const before = (await vault.listAudit(admin)).entries.length;
  const linear = { service_id: 'linear', credential_type: 'api_key', credential_value: 'lin_api_x' } as const;
  for (const made of [
    tenants.newKey({ organization: 'acme', user: name }),
    vault.organizations.createUnit(admin, name),
    vault.stacks.create(ann, { stack_name: name }),
    vault.store(ann, { ...linear, name }),
    vault.store(ann, { ...linear, stack_id: name }),
  ])
    expect(await outcomeOf(made)).toBe('INVALID_INPUT');
  expect((await vault.listAudit(admin)).entries.length).toBe(before);
  await expect(tenants.newKey({ organization: 'new', user: name })).rejects.toThrow('The name of the user');
  expect(await vault.organizations.has('new')).toBe(false);
  expect(await outcomeOf(vault.organizations.createUnit(admin, 'sales|pwned'))).toBe('INVALID_INPUT');
});
