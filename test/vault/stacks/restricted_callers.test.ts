/** Operations on stacks by callers with fewer scopes or restrictions: on the stack's credentials and services. */
import { describe, expect, test } from 'vitest';
import { type Caller, SCOPES, type Scope } from '../../../src/contract/caller.ts';
import { errorOf } from '../../kit/outcome.ts';
import { readCredentialRows } from '../../kit/vault/database.ts';
import { openTestVault } from '../../kit/vault/temp_vault.ts';

async function open() {
  const opened = await openTestVault();
  const { vault, caller } = opened;
  const { stack_id } = await vault.stacks.create(caller(), { stack_name: 'Production' });
  for (const service_id of ['linear', 'openai']) {
    await vault.stacks.addService(caller(), stack_id, service_id, null);
    await vault.store(caller(), { service_id, credential_type: 'bearer', credential_value: 'v', stack_id });
  }
  const without = (...removed: Scope[]): Caller => ({
    ...caller(),
    scopes: new Set(SCOPES.filter((scope) => !removed.includes(scope))),
  });
  const held = (...services: string[]): Caller => ({ ...caller(), services: new Set(services) });
  const state = async () => [
    await readCredentialRows(opened.home),
    await vault.stacks.get(caller(), stack_id),
  ];
  const denials = async () => {
    const { entries } = await vault.listAudit(caller(), { outcome: 'denied' });
    return entries.map(({ action, service_id, reason }) => [action, service_id, reason]);
  };
  return { ...opened, stack_id, without, held, state, denials };
}

describe('credentials in a stack and restricted callers', () => {
  test('a stack or service with credentials is not deleted by a caller without credentials:write', async () => {
    const { vault, stack_id, without, state, denials } = await open();
    const before = await state();
    const caller = without('credentials:write');
    const attempts = [
      () => vault.stacks.delete(caller, stack_id),
      () => vault.stacks.removeService(caller, stack_id, 'linear'),
    ];
    for (const attempt of attempts) {
      const { code, message } = await errorOf(attempt());
      expect([code, message]).toEqual(['FORBIDDEN', expect.stringContaining('credentials:write')]);
    }
    expect(await state()).toEqual(before);
    expect(await denials()).toEqual([
      ['delete', 'linear', 'missing scope credentials:write'],
      ['delete', expect.any(String), 'missing scope credentials:write'],
    ]);
  });

  test('a stack with credentials is not deleted by a caller restricted to other services', async () => {
    const { vault, stack_id, held, state } = await open();
    const before = await state();
    for (const caller of [held('openai'), held('gmail'), held()]) {
      const attempts = [
        () => vault.stacks.delete(caller, stack_id),
        () => vault.stacks.removeService(caller, stack_id, 'linear'),
        () => vault.stacks.setTools(caller, stack_id, 'linear', []),
      ];
      for (const attempt of attempts) expect((await errorOf(attempt())).code).toBe('FORBIDDEN');
    }
    expect(await state()).toEqual(before);
    await vault.stacks.removeService(held('openai'), stack_id, 'openai');
    expect((await state())[1]).toMatchObject({ services: [{ service_id: 'linear' }] });
  });

  test('an empty stack is deleted by a caller without credentials:write', async () => {
    const { vault, caller, stack_id, without } = await open();
    const writer = without('credentials:write', 'credentials:read');
    for (const service_id of ['linear', 'openai']) await vault.delete(caller(), { service_id, stack_id });
    await vault.stacks.setTools(writer, stack_id, 'linear', ['t']);
    await vault.stacks.removeService(writer, stack_id, 'linear');
    await vault.stacks.delete(writer, stack_id);
    expect((await errorOf(vault.stacks.get(caller(), stack_id))).reason).toBe('stack_missing');
  });
});

describe('a service of a stack and restricted callers', () => {
  test("a service outside the caller's restriction is added to no stack", async () => {
    const { vault, stack_id, held, state, denials } = await open();
    const before = await state();
    const { code } = await errorOf(vault.stacks.addService(held('linear'), stack_id, 'gmail', null));
    expect(code).toBe('FORBIDDEN');
    expect(await state()).toEqual(before);
    expect(await denials()).toEqual([['update_stack', 'gmail', 'service not allowed']]);
  });

  test('the stack is checked before the service in it', async () => {
    const { vault, caller, stack_id } = await open();
    const has = (stack: string, service: string) => vault.stacks.requireService(caller(), stack, service);
    expect(await has(stack_id, 'LINEAR')).toMatchObject({ slug: 'linear' });
    for (const service of ['linear', 'gmail', 'nope'])
      expect((await errorOf(has('stack_nope', service))).reason).toBe('stack_missing');
    for (const service of ['gmail', 'nope']) {
      const { code, reason } = await errorOf(has(stack_id, service));
      expect([code, reason]).toEqual(['NOT_FOUND', undefined]);
    }
    const attempts = [
      () => vault.stacks.addService(caller(), 'stack_nope', 'nope', null),
      () => vault.stacks.setTools(caller(), 'stack_nope', 'nope', []),
      () => vault.stacks.removeService(caller(), 'stack_nope', 'nope'),
    ];
    for (const attempt of attempts) expect((await errorOf(attempt())).reason).toBe('stack_missing');
  });

  test('a write for a service that is not in the stack is in the audit log', async () => {
    const { vault, caller, stack_id, denials } = await open();
    const purpose = { scope: 'credentials:write', action: 'update' } as const;
    await errorOf(vault.stacks.requireService(caller(), stack_id, 'gmail', purpose));
    await errorOf(vault.stacks.requireService(caller(), stack_id, 'sk-canary', purpose));
    await errorOf(vault.stacks.requireService(caller(), stack_id, 'gmail'));
    expect(await denials()).toEqual([
      ['update', null, 'not found'],
      ['update', 'gmail', 'not found'],
    ]);
  });
});
