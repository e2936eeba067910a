/** One entry of the audit log: a sentence, and all of its parts in a `details` element. */
import type { Child, FC } from 'hono/jsx';
import type { AuditEntry, AuditedUse } from '../../../contract/audit.ts';
import { Badge, Time } from '../../layout/components.tsx';
import { Logo } from '../../layout/logo.tsx';
import { ACTION_TEXTS, type NameOf, WHAT } from './actions.tsx';
import { GroupIcon } from './icons.tsx';

/** The user in the entries of failed authentications. */
const UNKNOWN_USER = '-';

interface EntryProps {
  readonly entry: AuditEntry;
  readonly nameOf: NameOf;
}

export const Entry: FC<EntryProps> = ({ entry, nameOf }) => (
  <li>
    <details class="entry">
      <summary class="row">
        {entry.service_id === null ? (
          <GroupIcon group={ACTION_TEXTS[entry.action].group} />
        ) : (
          <Logo service_id={entry.service_id} name={nameOf(entry.service_id)} />
        )}
        <span class="row-main">
          <span class="entry-sentence">
            <Sentence entry={entry} nameOf={nameOf} />
          </span>
          <span class="row-text">
            <Time at={entry.at} /> · {interfaceOf(entry)}
            {entry.use?.reason != null && <> · “{entry.use.reason}”</>}
          </span>
        </span>
        <span class="row-aside">
          {entry.count !== null && entry.count > 1 && <Badge>{entry.count} times</Badge>}
          {entry.outcome === 'denied' && <Badge tone="bad">Refused</Badge>}
        </span>
      </summary>
      <Details entry={entry} nameOf={nameOf} />
    </details>
  </li>
);

const Sentence: FC<EntryProps> = ({ entry, nameOf }) => {
  const { action, outcome, reason, use, user } = entry;
  const { past, infinitive, Target } = ACTION_TEXTS[action];
  const who = user === UNKNOWN_USER ? 'An unknown client' : <strong>{user}</strong>;
  const target = <Target entry={entry} nameOf={nameOf} />;
  if (outcome === 'denied')
    return (
      <>
        {who} was not allowed to {infinitive} {target}
        <UseTarget use={use} />
        {reason !== null && <>: {readable(reason)}</>}
      </>
    );
  if (action === 'use_outcome')
    return (
      <>
        The use of {target} by {who} ended
        {use !== null && use.status !== null && <> with {statusOf(use)}</>}
        {reason !== null && <>: {readable(reason)}</>}
      </>
    );
  const state =
    action === 'set_inactive' ? entry.changes.find(({ what }) => what === 'state')?.to : undefined;
  return (
    <>
      {who} {past} {target}
      {state !== undefined && (state === 'inactive' ? ' off' : ' on')}
      {action === 'sign_in' && reason !== null && <> with {SIGN_IN_METHODS[reason] ?? readable(reason)}</>}
      <UseTarget use={use} />
    </>
  );
};

const UseTarget: FC<{ readonly use: AuditedUse | null }> = ({ use }) => {
  if (use === null) return null;
  const target = targetOf(use);
  if (use.kind === 'environment') return <> in a child process</>;
  return (
    <>
      {use.kind === 'test' ? ' in a test' : ''}
      {target !== '' && (
        <>
          {' '}
          with <code>{target}</code>
        </>
      )}
    </>
  );
};

const SIGN_IN_METHODS: Readonly<Record<string, string>> = {
  api_key: 'an API key',
  local: 'keyhold open',
  oidc: 'OpenID Connect',
};

/** Such as `GET https://api.github.com/user`. */
function targetOf({ method, origin, path }: AuditedUse): string {
  return [method, `${origin ?? ''}${path ?? ''}`].filter(Boolean).join(' ');
}

function statusOf({ kind, status }: AuditedUse): string {
  return kind === 'environment' ? `exit code ${status}` : `status ${status}`;
}

/** Reasons that are codes have underscores. */
function readable(reason: string): string {
  return /^\w+$/.test(reason) ? reason.replaceAll('_', ' ') : reason;
}

const EDGES: Readonly<Record<string, string>> = {
  mcp: 'agent over MCP',
  rest: 'REST API',
  web: 'page',
  cli: 'command line',
  library: 'program',
  schedule: 'schedule of the server',
};

/** Any program can claim to be any client. */
function interfaceOf({ edge, claimed_client }: AuditEntry): string {
  const name = EDGES[edge] ?? edge;
  return claimed_client === null ? name : `${name}, client claims to be ${claimed_client}`;
}

const Details: FC<EntryProps> = ({ entry, nameOf }) => (
  <dl class="entry-details">
    {partsOf(entry, nameOf).map(([term, value]) => (
      <div>
        <dt>{term}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
);

type Part = readonly [term: string, value: Child];

/** The parts that the entry has. */
function partsOf(entry: AuditEntry, nameOf: NameOf): Part[] {
  const { use, limits } = entry;
  const parts: (readonly [string, Child | null])[] = [
    ['Time', `${entry.at.slice(0, 19).replace('T', ' ')} UTC`],
    ['Action', <code>{entry.action}</code>],
    ['Outcome', entry.outcome],
    ['Reason', entry.reason && readable(entry.reason)],
    ['Times', entry.count],
    ['User', entry.user === UNKNOWN_USER ? 'unknown' : entry.user],
    ['Interface', interfaceOf(entry)],
    ['API key', id(entry.api_key_id)],
    ['Made by', entry.made_by],
    ['Service', entry.service_id && `${nameOf(entry.service_id)} (${entry.service_id})`],
    ['Stack', entry.stack_id],
    ['Name', entry.name],
    ['Owner', entry.owner],
    ['Credential', id(entry.credential_id)],
    ['Record', id(entry.record_id)],
    [ACTION_TEXTS[entry.action].group === 'API keys' ? 'Scopes' : 'Fields', list(entry.fields)],
    ['Kept fields', list(entry.kept_fields)],
    ['Removed fields', list(entry.removed_fields)],
    ...entry.changes.map(
      ({ what, from, to }): Part => [`Changed ${WHAT[what]}`, `from ${from ?? 'none'} to ${to ?? 'none'}`],
    ),
    ['Limits', limits && limitsOf(limits)],
    ...(use === null ? [] : useParts(use)),
    ['Revision', entry.revision],
    ['Position in the log', entry.position],
    ['Request', id(entry.request_id)],
  ];
  return parts.filter((part): part is Part => part[1] !== null);
}

function useParts(use: AuditedUse): (readonly [string, Child | null])[] {
  const target = targetOf(use);
  return [
    ['Destination', target === '' ? null : <code>{target}</code>],
    ['Address', use.address],
    ['Stated reason', use.reason],
    ['Approval', id(use.approval_id)],
    ['Result', use.status === null ? null : statusOf(use)],
    ['Response', use.bytes === null ? null : `${use.bytes} bytes`],
    ['Use', id(use.id)],
  ];
}

function id(text: string | null): Child | null {
  return text === null ? null : <code>{text}</code>;
}

function list(fields: readonly string[]): string | null {
  return fields.length === 0 ? null : fields.join(', ');
}

function limitsOf({ stack_id, services, tools, expires_at, use_policy }: NonNullable<AuditEntry['limits']>) {
  const limits = [
    stack_id !== null && `stack ${stack_id}`,
    services !== null && `services ${services.join(', ')}`,
    tools !== null && `tools ${tools.join(', ')}`,
    expires_at !== null && `until ${expires_at}`,
    use_policy,
  ].filter(Boolean);
  return limits.length === 0 ? 'none' : limits.join('; ');
}
