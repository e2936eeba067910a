/** The credentials of the stack as rows, each with its state and its last use. */
import type { FC } from 'hono/jsx';
import type { CredentialSummary } from '../../../contract/credential.ts';
import { Badge, Time } from '../../layout/components.tsx';
import { ExpiryBadge } from '../../layout/expiry.tsx';
import { CredentialStateBadge } from '../../layout/states.tsx';
import { CredentialRow } from './credential_row.tsx';

export const ConnectedServices: FC<{
  readonly credentials: readonly CredentialSummary[];
  readonly now: Date;
}> = ({ credentials, now }) =>
  credentials.length === 0 ? null : (
    <section class="group">
      <h2>
        Connected <span class="count">{credentials.length}</span>
      </h2>
      <ul class="rows">
        {credentials.map((credential) => {
          const { status, expires_at, pending_approval } = credential;
          return (
            <CredentialRow credential={credential} text={<LastUse credential={credential} />}>
              {pending_approval !== null && <Badge tone="warning">New values wait</Badge>}
              {status === 'active' && <ExpiryBadge expires_at={expires_at} now={now} />}
              <CredentialStateBadge state={status} />
            </CredentialRow>
          );
        })}
      </ul>
    </section>
  );

const LastUse: FC<{ readonly credential: CredentialSummary }> = ({
  credential: { last_used_at, updated_at },
}) => {
  if (last_used_at !== null)
    return (
      <>
        Used <Time at={last_used_at} />
      </>
    );
  if (updated_at === null) return <>Not used yet</>;
  return (
    <>
      Stored <Time at={updated_at} />, not used yet
    </>
  );
};
