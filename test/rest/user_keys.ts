/** API keys of different callers: an owner, another user, an administrator and a user of another organization. */
import type { CreateKeyInput, NewApiKey } from '../../src/contract/api_key.ts';
import { NEW_KEY_SCOPES, SCOPES, type Scope } from '../../src/contract/caller.ts';
import type { TestHttpServer } from '../kit/http/http_server.ts';

export interface UserKeys {
  readonly owner: NewApiKey;
  readonly colleague: NewApiKey;
  readonly admin: NewApiKey;
  readonly stranger: NewApiKey;
}

export async function createUserKeys(server: TestHttpServer): Promise<UserKeys> {
  const create = (input: CreateKeyInput) =>
    server.vault.api_keys.create({ ...server.caller(), edge: 'cli' }, input);
  return {
    owner: await create({ user: 'owner' }),
    colleague: await create({ user: 'colleague' }),
    admin: await create({ user: 'admin', scopes: [...NEW_KEY_SCOPES, 'org:admin'] }),
    stranger: await create({ organization: 'elsewhere', user: 'stranger' }),
  };
}

/** Two keys of one user: one with this scope alone, one with all other scopes. */
export async function createScopeKeys(
  server: TestHttpServer,
  user: string,
  scope: Scope,
): Promise<{ readonly with_scope: string; readonly without_scope: string }> {
  const others = SCOPES.filter((one) => one !== scope);
  return {
    with_scope: await server.key({ user, scopes: [scope] }),
    without_scope: await server.key({ user, scopes: others }),
  };
}

/** Status, headers and body without the request id and the date, to compare two responses. */
export async function withoutRequestId(response: Response): Promise<unknown> {
  const headers = [...response.headers].filter(([name]) => !['date', 'x-request-id'].includes(name));
  const body = (await response.text()).replaceAll(response.headers.get('x-request-id') ?? '?', 'REQUEST');
  return { status: response.status, headers, body };
}
