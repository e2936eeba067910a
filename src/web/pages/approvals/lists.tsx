/** The lists of approvals: what waits, what is in force, and what was decided. */
import type { FC } from 'hono/jsx';
import type { Approval } from '../../../contract/approval.ts';
import { UNPRINTABLE_CHARACTERS_PATTERN } from '../../../contract/patterns.ts';
import { Badge, ButtonLink, Card, Code, EmptyState, PageHeading, Time } from '../../layout/components.tsx';
import { Logo } from '../../layout/logo.tsx';

export const APPROVALS_PATH = '/dashboard/approvals';

export function approvalPath(id: string): string {
  return `${APPROVALS_PATH}/${encodeURIComponent(id)}`;
}

export const KINDS: Readonly<Record<Approval['kind'], string>> = {
  destination: 'New destination',
  stored_values: 'New values',
  request: 'Request',
  access_request: 'Access to a service',
};

/** The approval with the texts of the agent as a page shows them: invisible characters could hide a part or reorder it. */
export function withVisibleTexts(approval: Approval): Approval {
  const { summary, requested_by, reason, headers, body } = approval;
  return {
    ...approval,
    summary: visible(summary),
    requested_by: requested_by && visible(requested_by),
    reason: reason && visible(reason),
    headers: headers.map(visible),
    body: body && visible(body),
  };
}

/** Such as `\u{202e}`. Line feeds and tabs stay. */
function visible(text: string): string {
  return text.replace(UNPRINTABLE_CHARACTERS_PATTERN, (character) =>
    /[\n\t]/.test(character) ? character : `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}

/** What an approval of a request covers. */
export function extentOf({ summary, endpoint, host, grant }: Approval): string {
  if (grant?.each === 'host') return `every request to ${host} within the limits of the credential`;
  return grant?.each === 'endpoint' ? `${endpoint} with any query and body` : summary;
}

export function isInForce({ kind, state }: Approval): boolean {
  return kind === 'request' && (state === 'approved' || state === 'granted');
}

/** The summary as the beginning of a line. */
export function sentence(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

export const StateBadge: FC<{ readonly approval: Approval }> = ({ approval }) => {
  const { state } = approval;
  if (state === 'pending') return <Badge tone="warning">Waiting</Badge>;
  if (state === 'denied') return <Badge tone="bad">Denied</Badge>;
  if (state === 'used') return <Badge>Used</Badge>;
  return <Badge tone="good">{state === 'granted' ? 'Granted' : 'Approved'}</Badge>;
};

export const ApprovalLists: FC<{
  readonly pending: readonly Approval[];
  readonly decided: readonly Approval[];
}> = ({ pending, decided }) => {
  const in_force = decided.filter(isInForce);
  const others = decided.filter((one) => !isInForce(one));
  return (
    <>
      <PageHeading title="Approvals" text="Requests of agents. Only a person decides on them." />
      {pending.length === 0 ? (
        <EmptyState title="Nothing waits for you">
          <p>Requests of agents that need a decision are listed here.</p>
        </EmptyState>
      ) : (
        <ul class="rows">
          {pending.map((approval) => (
            <ApprovalRow approval={approval} />
          ))}
        </ul>
      )}
      {in_force.length > 0 && (
        <Card title="In force">
          <ul class="rows">
            {in_force.map((approval) => (
              <GrantRow approval={approval} />
            ))}
          </ul>
        </Card>
      )}
      {others.length > 0 && (
        <Card title="Decided">
          <ul class="rows">
            {others.map((approval) => (
              <ApprovalRow approval={approval} />
            ))}
          </ul>
        </Card>
      )}
    </>
  );
};

const ApprovalRow: FC<{ readonly approval: Approval }> = ({ approval }) => {
  const { id, kind, service_id, summary, requested_by, created_at, decided_at, decided_by } = approval;
  return (
    <li>
      <a class="row" href={approvalPath(id)}>
        <Logo service_id={service_id} name={service_id} />
        <span class="row-main">
          <span class="row-title">{sentence(summary)}</span>
          <span class="row-text">
            {KINDS[kind]}
            {requested_by !== null && ` from ${requested_by}`},{' '}
            {decided_at === null ? (
              <Time at={created_at} />
            ) : (
              <>
                decided by {decided_by ?? 'a person'} <Time at={decided_at} />
              </>
            )}
          </span>
        </span>
        <span class="row-aside">
          <StateBadge approval={approval} />
        </span>
      </a>
    </li>
  );
};

const GrantRow: FC<{ readonly approval: Approval }> = ({ approval }) => {
  const { id, service_id, requested_by, grant, decided_at, expires_at } = approval;
  return (
    <li class="row">
      <Logo service_id={service_id} name={service_id} />
      <span class="row-main">
        <a class="row-title" href={approvalPath(id)}>
          {extentOf(approval)}
        </a>
        <span class="row-text">
          For {requested_by ?? 'the caller'}, {termOf(approval)}
          {decided_at !== null && (
            <>
              , since <Time at={decided_at} />
            </>
          )}
          {expires_at !== null && (
            <>
              , expires <Time at={expires_at} />
            </>
          )}
          . {grant?.uses ?? 0} of {grant?.uses_max ?? 1} uses.
        </span>
      </span>
      <span class="row-aside">
        <ButtonLink href={`${approvalPath(id)}/revoke`} kind="danger-quiet" dialog>
          Revoke<span class="visually-hidden"> {extentOf(approval)}</span>
        </ButtonLink>
      </span>
    </li>
  );
};

export function termOf({ grant }: Approval): string {
  if (grant === null || grant.for === 'once') return 'once';
  return grant.for === 'session' ? 'in its session' : 'for a time';
}

/** For a session that may not decide. */
export const NotAPerson: FC = () => (
  <>
    <PageHeading title="Approvals" text="Requests of agents. Only a person decides on them." />
    <EmptyState title="This sign-in decides on nothing">
      <p>
        It is of an API key without the scope <code>approvals:decide</code>, which an agent may have too. Sign
        in at the machine of the vault with <Code text="keyhold open" /> or with a key that has this scope.
      </p>
    </EmptyState>
  </>
);
