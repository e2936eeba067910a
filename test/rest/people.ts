/** API keys of different callers: an owner, another user, an administrator and a user of another organization. */
import type { CreateKeyInput, NewApiKey } from '../../src/contract/api_key.ts';
import { NEW_KEY_SCOPES, SCOPES, type Scope } from '../../src/contract/caller.ts';
import type { TestHttpServer } from '../kit/http/http_server.ts';

export interface People {
  readonly owner: NewApiKey;
  readonly colleague: NewApiKey;
  readonly admin: NewApiKey;
  readonly stranger: NewApiKey;
}

export async function peopleOf(server: TestHttpServer): Promise<People> {
  const make = (input: CreateKeyInput) => server.vault.api_keys.create(server.caller(), input);
  return {
    owner: await make({ user: 'owner' }),
    colleague: await make({ user: 'colleague' }),
    admin: await make({ user: 'admin', scopes: [...NEW_KEY_SCOPES, 'org:admin'] }),
    stranger: await make({ organization: 'elsewhere', user: 'stranger' }),
  };
}

/** Keys of one user: one with this scope alone, one with all others. */
export async function keysAround(
  server: TestHttpServer,
  user: string,
  scope: Scope,
): Promise<{ readonly only: string; readonly without: string }> {
  const others = SCOPES.filter((one) => one !== scope);
  return {
    only: await server.key({ user, scopes: [scope] }),
    without: await server.key({ user, scopes: others }),
  };
}

/** The part of a response that could reveal something: without request id and date. */
export async function comparable(answer: Response): Promise<unknown> {
  const headers = [...answer.headers].filter(([name]) => !['date', 'x-request-id'].includes(name));
  const body = (await answer.text()).replaceAll(answer.headers.get('x-request-id') ?? '?', 'REQUEST');
  return { status: answer.status, headers, body };
}
