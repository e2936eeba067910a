/** The list of API keys: what each may do, for how long, and when it was last used. Never a key. */
import type { FC } from 'hono/jsx';
import type { ApiKeyInfo, ApiKeyList } from '../../../contract/api_key.ts';
import type { Caller } from '../../../contract/caller.ts';
import { describePolicy } from '../../../contract/use/rules.ts';
import { Badge, ButtonLink, Code, EmptyState, PageHeading, Time } from '../../layout/components.tsx';
import { ExpiryBadge, expiryOf } from '../../layout/expiry.tsx';

export const KEYS_PATH = '/dashboard/keys';

export function keyPath(id: string): string {
  return `${KEYS_PATH}/${encodeURIComponent(id)}`;
}

export function labelOf({ name, key_prefix }: ApiKeyInfo): string {
  return name ?? `the key ${key_prefix}…`;
}

export const KeyList: FC<ApiKeyList & { readonly caller: Caller; readonly now: Date }> = ({
  keys,
  more,
  caller,
  now,
}) => (
  <>
    <PageHeading
      title="API keys"
      text="A key lets a program act as a user, within its scopes. It is shown once, when it is created."
    >
      <ButtonLink href={`${KEYS_PATH}/new`} kind="primary">
        Create a key
      </ButtonLink>
    </PageHeading>
    {keys.length === 0 ? (
      <EmptyState title="No API keys yet">
        <p>
          Programs and agents on other machines need a key. An agent on this machine needs none:{' '}
          <Code text="keyhold install" />
        </p>
      </EmptyState>
    ) : (
      <ul class="rows">
        {keys.map((key) => (
          <KeyRow key_info={key} caller={caller} now={now} />
        ))}
      </ul>
    )}
    {more && <p class="muted small">There are more keys; these are the newest.</p>}
  </>
);

const KeyRow: FC<{ readonly key_info: ApiKeyInfo; readonly caller: Caller; readonly now: Date }> = ({
  key_info,
  caller,
  now,
}) => {
  const { id, name, key_prefix, user, made_by, created_at, last_used_at, expires_at, scopes } = key_info;
  const restrictions = restrictionsOf(key_info);
  const is_expired = expiryOf(expires_at, now) === 'expired';
  return (
    <li class="row key-row">
      <span class="row-main">
        <span class="row-title">
          {name ?? 'Without a name'}
          <code class="row-name">{key_prefix}…</code>
          {id === caller.api_key_id && <Badge tone="accent">This sign-in</Badge>}
          <ExpiryBadge expires_at={expires_at} now={now} />
        </span>
        <span class="row-text">
          {user !== caller.user && <>For {user}. </>}
          {last_used_at === null ? (
            'Never used'
          ) : (
            <>
              Used <Time at={last_used_at} />
            </>
          )}
          , created <Time at={created_at} />
          {made_by !== null && <> by {made_by}</>}
          {expires_at === null ? (
            ', does not expire'
          ) : expiryOf(expires_at, now) === 'later' ? (
            <>
              , expires <Time at={expires_at} />
            </>
          ) : null}
        </span>
        <span class="scopes">
          {scopes.map((scope) => (
            <code class="scope">{scope}</code>
          ))}
        </span>
        {restrictions.length > 0 && <span class="row-text">Restricted to {restrictions.join('; ')}</span>}
      </span>
      <span class="row-aside">
        {!is_expired && (
          <ButtonLink href={`${keyPath(id)}/rotate`} dialog>
            Rotate<span class="visually-hidden"> {labelOf(key_info)}</span>
          </ButtonLink>
        )}
        <ButtonLink href={`${keyPath(id)}/revoke`} kind="danger-quiet" dialog>
          Revoke<span class="visually-hidden"> {labelOf(key_info)}</span>
        </ButtonLink>
      </span>
    </li>
  );
};

function restrictionsOf({ stack_id, allowed_services, allowed_tools, use_policy }: ApiKeyInfo): string[] {
  const policy = describePolicy(use_policy);
  return [
    ...(stack_id === null ? [] : [`the stack ${stack_id}`]),
    ...(allowed_services === null ? [] : [allowed_services.join(', ') || 'no service']),
    ...(allowed_tools === null ? [] : [`the tools ${allowed_tools.join(', ') || '(none)'}`]),
    ...(policy === null ? [] : [policy]),
  ];
}
