/** The methods of the client that involve a person: handles, access requests and approvals, with a real server. */
import { describe, expect, test } from 'vitest';
import { KeyholdClient } from '../../src/client/keyhold_client.ts';
import { SCOPES } from '../../src/contract/caller.ts';
import { DIALECTS } from '../../src/rest/dialects.ts';
import { localClient } from '../../src/vault/local_client.ts';
import { startHttpServer } from '../kit/http/http_server.ts';
import { catchKeyholdError } from './failure_of.ts';

const LINEAR = { service_id: 'linear' };
const NO_ID = '8f14e45f-ceea-467f-9575-0d0e7ad4a1c2';

async function open() {
  const server = await startHttpServer({ dialects: DIALECTS });
  const client = async (scopes: readonly (typeof SCOPES)[number][]) =>
    new KeyholdClient({ url: server.url, key: await server.key({ scopes: [...scopes] }) });
  const { vault, parts } = server;
  const person = { ...server.caller(), edge: 'web', is_person: true } as const;
  const local = localClient(vault, () => person, parts.calls, parts.tests);
  const agent = await client(SCOPES.filter((scope) => scope !== 'org:admin'));
  return { server, local, person, agent, client };
}

describe('the methods of the client that involve a person', () => {
  test('invalid ids and handles are refused without a request', async () => {
    const { server, agent } = await open();
    const lines = server.log.length;
    for (const id of ['kh_0123_abc', '../units', '', `${NO_ID}/deny`]) {
      for (const act of [
        () => agent.getApproval(id),
        () => agent.approve(id),
        () => agent.deny(id),
        () => agent.revokeApproval(id),
        () => agent.getHandle(id),
        () => agent.declineHandle(id),
      ])
        expect(await catchKeyholdError(act)).toMatchObject({ code: 'INVALID_INPUT', status: null });
    }
    expect(server.log.length).toBe(lines);
  });

  test('a handle is created, polled and declined, and unknown to the client of another key', async () => {
    const { server, agent, client, person } = await open();
    const { handle, url, ...rest } = await agent.createHandle({ ...LINEAR, credential_type: 'bearer' });
    expect(url).toBe(`${server.url}/dashboard/enter/${handle}`);
    expect(rest).toMatchObject({ fields: ['linear_api_key'], retry_after_ms: 3000 });
    const other = await client(['credentials:read']);
    expect(await catchKeyholdError(() => other.getHandle(handle))).toMatchObject({ code: 'NOT_FOUND' });
    expect(await agent.getHandle(handle)).toMatchObject({ state: 'pending', retry_after_ms: 3000 });
    await server.vault.handles.complete(person, handle, { linear_api_key: 'lin_1' });
    expect(await agent.getHandle(handle)).toMatchObject({ state: 'done', service_id: 'linear' });
    const used = await catchKeyholdError(() => agent.declineHandle(handle));
    expect(used).toMatchObject({ code: 'EXPIRED', reason: 'handle_used', status: 410 });
    const second = await agent.createHandle(LINEAR);
    await agent.declineHandle(second.handle);
    expect(await agent.getHandle(second.handle)).toMatchObject({ state: 'declined' });
  });

  test('an access request is accepted with limits by the client of a person, and approvals are those of the local vault', async () => {
    const { agent, client, local } = await open();
    expect(await agent.getAccessRequest({ service_id: 'github' })).toBe(null);
    const made = await agent.requestAccess({ service_id: 'github', reason: 'To list issues.' });
    expect(await agent.getAccessRequest({ service_id: 'github' })).toEqual(made);
    const person = await client(['approvals:decide']);
    expect(await person.listApprovals()).toEqual(await local.listApprovals());
    expect(await person.getApproval(made.approval_id)).toEqual(await local.getApproval(made.approval_id));
    const own = await catchKeyholdError(() => agent.approve(made.approval_id));
    expect(own).toMatchObject({ code: 'FORBIDDEN', status: 403 });
    const use_policy = { methods: ['GET' as const] };
    expect(await person.approve(made.approval_id, { use_policy })).toMatchObject({
      state: 'approved',
      access: { use_policy },
    });
    expect(await catchKeyholdError(() => person.deny(made.approval_id))).toMatchObject({
      code: 'CONFLICT',
      reason: 'approval_used',
    });
    expect(await agent.getAccessRequest({ service_id: 'github' })).toMatchObject({ state: 'approved' });
    expect(await person.listApprovals('in_force')).toEqual([]);
    const decided = await person.listApprovals('decided');
    expect(decided).toMatchObject([{ id: made.approval_id, state: 'approved', access: { use_policy } }]);
    expect(decided).toEqual(await local.listApprovals('decided'));
    expect(await catchKeyholdError(() => person.revokeApproval(NO_ID))).toMatchObject({ code: 'NOT_FOUND' });
    const unknown = await catchKeyholdError(() => person.listApprovals('pending', 'no_such'));
    expect(unknown.code).toBe('FORBIDDEN');
  });

  test('the client counts uses as the local vault does', async () => {
    const { client, local } = await open();
    const auditor = await client(['audit:read']);
    expect(await auditor.countUses()).toEqual(await local.countUses());
    expect(await auditor.countUses(7, 'linear')).toEqual(await local.countUses(7, 'linear'));
    expect((await catchKeyholdError(() => auditor.countUses(0))).code).toBe('INVALID_INPUT');
  });
});
