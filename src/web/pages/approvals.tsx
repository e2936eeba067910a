/**
 * What waits for a decision of a person, and each in detail, with the buttons that decide. The vault refuses callers who are
 * no person, such as a session of an API key without `approvals:decide`. Never shows a value.
 */
import type { FC } from 'hono/jsx';
import type { Approval, ApprovalChoiceInput } from '../../contract/approval.ts';
import { VaultError } from '../../contract/errors.ts';
import { GRANT_EXTENTS } from '../../contract/use/rules.ts';
import {
  Badge,
  Button,
  Card,
  EmptyState,
  Fact,
  Field,
  PageHeading,
  PostForm,
  Time,
} from '../layout/components.tsx';
import { Logo } from '../layout/logo.tsx';
import { definePage, textOf } from '../page.ts';
import { redirectTo, showPage } from '../respond.tsx';

const PATH = '/dashboard/approvals';
const ONE = `${PATH}/:approval_id`;
const SECTION = 'approvals';

export const approvalPages = definePage({
  register(app, { vault }) {
    app.get(PATH, async (c) => {
      const pending = await vault.approvals.list(c.var.caller);
      return showPage(c, { title: 'Approvals', section: SECTION }, <Pending approvals={pending} />);
    });

    app.get(ONE, async (c) => {
      const approval = await vault.approvals.get(c.var.caller, c.req.param('approval_id'));
      const content = <Shown approval={approval} csrf={c.var.csrf} />;
      return showPage(c, { title: 'Approval', section: SECTION }, content);
    });

    app.post(ONE, async (c) => {
      const { caller, form } = c.var;
      const id = c.req.param('approval_id');
      const is_approved = textOf(form, 'decision') === 'approve';
      const decided = is_approved
        ? await vault.approvals.approve(caller, id, undefined, choiceOf(form))
        : await vault.approvals.deny(caller, id);
      const text = `${is_approved ? 'Approved' : 'Denied'}: ${decided.summary}`;
      return redirectTo(c, PATH, { kind: is_approved ? 'success' : 'notice', text });
    });
  },
});

/** How long a request is granted, by the names of the choices. */
const TERMS: Readonly<Record<string, ApprovalChoiceInput>> = {
  once: {},
  hour: { for: 'duration', minutes: 60 },
  day: { for: 'duration', minutes: 480 },
};

function choiceOf(form: FormData): ApprovalChoiceInput {
  const term = TERMS[textOf(form, 'term') || 'once'];
  const each = GRANT_EXTENTS.find((one) => one === (textOf(form, 'each') || 'request'));
  if (term === undefined || each === undefined)
    throw new VaultError('INVALID_INPUT', 'Choose the time and the requests that the approval covers.');
  return { ...term, each };
}

const KINDS: Readonly<Record<Approval['kind'], string>> = {
  destination: 'New destination',
  stored_values: 'New values',
  request: 'Request',
  access_request: 'Access to a service',
};

const Pending: FC<{ readonly approvals: readonly Approval[] }> = ({ approvals }) => (
  <>
    <PageHeading title="Approvals" text="Requests of agents. Only a person decides on them." />
    {approvals.length === 0 ? (
      <EmptyState title="Nothing waits for you">
        <p>Requests of agents that need a decision are listed here.</p>
      </EmptyState>
    ) : (
      <ul class="rows">
        {approvals.map(({ id, kind, service_id, summary, created_at }) => (
          <li>
            <a class="row" href={`${PATH}/${id}`}>
              <Logo service_id={service_id} name={service_id} />
              <span class="row-main">
                <span class="row-title">{summary}</span>
                <span class="row-text">
                  {KINDS[kind]}, <Time at={created_at} />
                </span>
              </span>
            </a>
          </li>
        ))}
      </ul>
    )}
  </>
);

const Shown: FC<{ readonly approval: Approval; readonly csrf: string }> = ({ approval, csrf }) => {
  const { id, kind, state, summary, reason, headers, body, access } = approval;
  return (
    <>
      <PageHeading
        title={KINDS[kind]}
        text={summary}
        back={{ href: PATH, label: 'Approvals' }}
        logo={<Logo service_id={approval.service_id} name={approval.service_id} />}
      />
      <Card title="Details" aside={<Badge>{state}</Badge>}>
        <dl class="facts">
          <Fact term="Requested by">{approval.requested_by ?? 'a change of the service'}</Fact>
          <Fact term="Service">{access?.base_url ?? approval.service_id}</Fact>
          <Fact term="Stack">
            {approval.stack_id} of {approval.user}
          </Fact>
          {access !== null && <Fact term="Code that the agent shows">{access.code}</Fact>}
          {approval.host !== null && <Fact term="Sent to">{approval.host}</Fact>}
          {approval.bound_origins !== null && (
            <Fact term="Bound to">{approval.bound_origins.join(', ') || 'nothing'}</Fact>
          )}
          {approval.new_origins !== null && (
            <Fact term="Would be sent to">{approval.new_origins.join(', ') || 'nothing'}</Fact>
          )}
          {approval.fields.length > 0 && <Fact term="Fields">{approval.fields.join(', ')}</Fact>}
          {approval.expires_at !== null && (
            <Fact term="Expires">
              <Time at={approval.expires_at} />
            </Fact>
          )}
          {reason !== null && <Fact term="Reason, as the agent wrote it">{reason}</Fact>}
          {headers.length > 0 && <Fact term="Headers">{headers.join('; ')}</Fact>}
          {body !== null && <Fact term="Body">{body}</Fact>}
        </dl>
      </Card>
      {state === 'pending' && (
        <Card title="Decide">
          <PostForm action={`${PATH}/${id}`} csrf={csrf}>
            {kind === 'request' && <Choices />}
            <div class="actions">
              <Button name="decision" value="approve">
                Approve
              </Button>
              {kind !== 'destination' && (
                <Button kind="secondary" name="decision" value="deny">
                  Deny
                </Button>
              )}
            </div>
          </PostForm>
        </Card>
      )}
    </>
  );
};

const Choices: FC = () => (
  <>
    <Field
      name="term"
      label="Time"
      required
      options={[
        { value: 'once', label: 'Once' },
        { value: 'hour', label: 'One hour' },
        { value: 'day', label: 'Eight hours' },
      ]}
    />
    <Field
      name="each"
      label="Covers"
      required
      options={[
        { value: 'request', label: 'This request only' },
        { value: 'endpoint', label: 'This method and path' },
        { value: 'host', label: 'All requests to this host' },
      ]}
    />
  </>
);
