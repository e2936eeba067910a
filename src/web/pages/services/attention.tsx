/** What a person has to do: credentials that are not used any more or soon, and requests that wait for a decision. */
import type { FC } from 'hono/jsx';
import type { CredentialState, CredentialSummary } from '../../../contract/credential.ts';
import { Badge } from '../../layout/components.tsx';
import { ExpiryBadge, expiryOf } from '../../layout/expiry.tsx';
import { CredentialStateBadge } from '../../layout/states.tsx';
import { GroupIcon } from '../audit/icons.tsx';
import { CredentialRow } from './credential_row.tsx';

/** Why a state needs a person. */
const REASONS: Readonly<Partial<Record<CredentialState, string>>> = {
  needs_reconnect: 'The provider refused to refresh the access token. Connect it again.',
  rejected: 'The service refused the stored values. Replace them.',
  needs_review: 'It would be sent to another destination. Approve that, or store it again.',
  expired: 'It has expired and is not used. Rotate it.',
  incomplete: 'A required field is missing.',
};

interface Finding {
  readonly credential: CredentialSummary;
  readonly text: string;
}

/** Credentials that cannot be used first, then those that expire soon. */
export function findingsOf(credentials: readonly CredentialSummary[], now: Date): readonly Finding[] {
  const broken = credentials.flatMap((credential) => {
    const text = REASONS[credential.status];
    return text === undefined ? [] : [{ credential, text }];
  });
  const soon = credentials
    .filter(({ status, expires_at }) => status === 'active' && expiryOf(expires_at, now) === 'soon')
    .map((credential) => ({ credential, text: 'Rotate it in time. An expired credential is not used.' }));
  return [...broken, ...soon];
}

export const Attention: FC<{
  readonly findings: readonly Finding[];
  readonly waiting: number;
  readonly now: Date;
}> = ({ findings, waiting, now }) => {
  const count = findings.length + (waiting > 0 ? 1 : 0);
  if (count === 0) return null;
  return (
    <section class="group attention">
      <h2>
        Needs attention <span class="count">{count}</span>
      </h2>
      <ul class="rows">
        {waiting > 0 && (
          <li>
            <a class="row" href="/dashboard/approvals">
              <GroupIcon group="Approvals" />
              <span class="row-main">
                <span class="row-title">
                  {waiting === 1 ? 'A request waits' : `${waiting} requests wait`} for your decision
                </span>
                <span class="row-text">Agents continue when you approve or deny.</span>
              </span>
              <span class="row-aside">
                <Badge tone="warning">Waiting</Badge>
              </span>
            </a>
          </li>
        )}
        {findings.map(({ credential, text }) => (
          <CredentialRow credential={credential} text={text}>
            {credential.status === 'active' ? (
              <ExpiryBadge expires_at={credential.expires_at} now={now} />
            ) : (
              <CredentialStateBadge state={credential.status} />
            )}
          </CredentialRow>
        ))}
      </ul>
    </section>
  );
};
