/** One approval in full, and the controls with which a person decides on it. */
import type { FC } from 'hono/jsx';
import type { Approval } from '../../../contract/approval.ts';
import type { StackInfo } from '../../../contract/stack.ts';
import { describePolicy } from '../../../contract/use/rules.ts';
import { RadioGroup } from '../../layout/choices.tsx';
import { Button, ButtonLink, Card, Fact, PageHeading, PostForm, Time } from '../../layout/components.tsx';
import { Logo } from '../../layout/logo.tsx';
import { credentialPath } from '../credentials/lookup.ts';
import {
  APPROVALS_PATH,
  approvalPath,
  extentOf,
  isInForce,
  KINDS,
  StateBadge,
  sentence,
  termOf,
} from './lists.tsx';
import { Narrow, type Narrowing } from './narrow.tsx';
import { CONFIRM_FIELD, NEXT_FIELD, RequestChoice, SEEN_FIELD } from './request_choice.tsx';

interface ShownProps {
  readonly approval: Approval;
  readonly service_name: string;
  /** Whether the person connects an account after accepting or enters values; `undefined`: only the latter is possible. */
  readonly next: 'connect' | 'enter' | undefined;
  readonly stacks: readonly StackInfo[];
  readonly narrowing: Narrowing;
  readonly seen: string;
  readonly csrf: string;
  /** Why the decision was refused. */
  readonly problem: string | undefined;
}

export const Shown: FC<ShownProps> = (props) => {
  const { approval, service_name, problem } = props;
  const { id, kind, state, service_id, summary } = approval;
  return (
    <>
      <PageHeading
        title={KINDS[kind]}
        text={sentence(summary)}
        back={{ href: APPROVALS_PATH, label: 'Approvals' }}
        logo={<Logo service_id={service_id} name={service_name} />}
      />
      {problem !== undefined && (
        <p class="message message-error" role="alert">
          {problem} Nothing was approved.
        </p>
      )}
      <Card title="Details" aside={<StateBadge approval={approval} />}>
        <Details approval={approval} service_name={service_name} />
      </Card>
      {kind === 'request' && <RequestParts approval={approval} />}
      {(kind === 'destination' || kind === 'stored_values') && <Destination approval={approval} />}
      {state === 'pending' && <Decide {...props} />}
      {isInForce(approval) && (
        <div class="actions">
          <ButtonLink href={`${approvalPath(id)}/revoke`} kind="danger-quiet" dialog>
            Revoke approval
          </ButtonLink>
        </div>
      )}
    </>
  );
};

const Details: FC<Pick<ShownProps, 'approval' | 'service_name'>> = ({ approval, service_name }) => {
  const { reason, access, credential_id, grant } = approval;
  return (
    <dl class="facts">
      <Fact term="Requested by">{approval.requested_by ?? 'A change of the definition'}</Fact>
      {access !== null && (
        <Fact term="Code">
          <strong>{access.code}</strong>, which the agent shows too
        </Fact>
      )}
      <Fact term="Service">{access?.base_url ?? service_name}</Fact>
      <Fact term="Credential">
        {credential_id === null ? (
          (approval.name ?? 'Not stored yet')
        ) : (
          <a href={credentialPath(credential_id)}>{approval.name ?? service_name}</a>
        )}
        , stack {approval.stack_id} of {approval.user}
      </Fact>
      {approval.fields.length > 0 && <Fact term="Fields">{approval.fields.join(', ')}</Fact>}
      <Fact term="Since">
        <Time at={approval.created_at} />
      </Fact>
      {approval.expires_at !== null && (
        <Fact term="Expires">
          <Time at={approval.expires_at} />
        </Fact>
      )}
      {approval.decided_at !== null && (
        <Fact term="Decided">
          <Time at={approval.decided_at} /> by {approval.decided_by ?? 'a person'}
        </Fact>
      )}
      {grant !== null && (
        <Fact term="Granted">
          {extentOf(approval)}, {termOf(approval)}: {grant.uses} of {grant.uses_max} uses
        </Fact>
      )}
      {access !== null && approval.state === 'approved' && (
        <Fact term="Limits">{describePolicy(access.use_policy) ?? 'None'}</Fact>
      )}
      {reason !== null && <Fact term="Reason, as the agent wrote it">{reason}</Fact>}
    </dl>
  );
};

/** Method, destination, path, query, headers and body, as they would be sent, without the credential. */
const RequestParts: FC<{ readonly approval: Approval }> = ({ approval }) => {
  const { summary, endpoint, host, headers, body } = approval;
  const method = endpoint?.split(' ')[0];
  const path = endpoint?.slice(`${method} ${host}`.length);
  const query = endpoint === null || summary === endpoint ? '' : queryOf(summary, endpoint);
  return (
    <Card title="The request">
      <dl class="facts">
        {endpoint === null || host === null ? (
          <Fact term="Command">{summary}</Fact>
        ) : (
          <>
            <Fact term="Method">{method}</Fact>
            <Fact term="Destination">{host}</Fact>
            <Fact term="Path">{path}</Fact>
            <Fact term="Query">{query === '' ? 'None' : query}</Fact>
          </>
        )}
        <Fact term="Headers">{headers.length === 0 ? 'None of the agent' : headers.join('; ')}</Fact>
      </dl>
      {body === null ? (
        <p class="muted small">Without a body. The credential is added when the request is sent.</p>
      ) : (
        <section class="body-text" aria-label="Body" tabindex={0}>
          <pre>{body}</pre>
        </section>
      )}
    </Card>
  );
};

function queryOf(summary: string, endpoint: string): string {
  if (summary.startsWith(`${endpoint}?`)) return summary.slice(endpoint.length);
  return 'The URL is too long to show whole. Its first part is above.';
}

const Destination: FC<{ readonly approval: Approval }> = ({ approval: { bound_origins, new_origins } }) => {
  const before = bound_origins ?? [];
  const after = new_origins ?? [];
  const added = after.filter((origin) => !before.includes(origin));
  const removed = before.filter((origin) => !after.includes(origin));
  return (
    <Card title="Where the values are sent">
      <dl class="facts">
        <Fact term="From">{before.join(', ') || 'Nowhere yet'}</Fact>
        <Fact term="To">{after.join(', ') || 'Nowhere'}</Fact>
        {added.length > 0 && <Fact term="New">{added.join(', ')}</Fact>}
        {removed.length > 0 && <Fact term="No longer">{removed.join(', ')}</Fact>}
      </dl>
    </Card>
  );
};

const TEXTS = {
  destination: { approve: 'Approve destination', deny: undefined },
  stored_values: { approve: 'Store the new values', deny: 'Delete them' },
  request: { approve: 'Approve', deny: 'Deny' },
  access_request: { approve: 'Accept and continue', deny: 'Deny' },
} as const;

const Decide: FC<ShownProps> = ({ approval, next, stacks, narrowing, seen, csrf }) => {
  const { id, kind } = approval;
  const { approve, deny } = TEXTS[kind];
  return (
    <Card title={kind === 'access_request' ? 'Limits of the agent' : 'Decide'}>
      <PostForm action={approvalPath(id)} csrf={csrf}>
        <input type="hidden" name={SEEN_FIELD} value={seen} />
        {kind === 'request' && <RequestChoice approval={approval} />}
        {kind === 'access_request' && <Narrow narrowing={narrowing} stacks={stacks} />}
        {kind === 'access_request' && next !== undefined && (
          <RadioGroup
            name={NEXT_FIELD}
            legend="Then"
            value={next}
            choices={[
              { value: 'enter', label: 'I enter a token or key' },
              { value: 'connect', label: 'I connect an account with OAuth' },
            ]}
          />
        )}
        {kind === 'destination' && (
          <label class="check">
            <input type="checkbox" name={CONFIRM_FIELD} value="yes" required /> The new destination may
            receive the values
          </label>
        )}
        <div class="actions">
          <Button name="decision" value="approve">
            {approve}
          </Button>
          {deny !== undefined && (
            <button class="button button-secondary" type="submit" name="decision" value="deny" formnovalidate>
              {deny}
            </button>
          )}
        </div>
      </PostForm>
      {kind === 'destination' && (
        <p class="muted small">
          Until then, the credential is not used. To keep it so, leave this page, or delete the credential.
        </p>
      )}
    </Card>
  );
};
