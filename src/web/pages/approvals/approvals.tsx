/**
 * What waits for a decision of a person, what was decided, and what is granted. The vault refuses callers who are no person,
 * such as a session of an API key without `approvals:decide`. Never shows a value.
 */
import { hash } from 'node:crypto';
import type { Hono } from 'hono';
import type { Approval } from '../../../contract/approval.ts';
import { isPerson } from '../../../contract/caller.ts';
import { VaultError } from '../../../contract/errors.ts';
import { connectUrl, handleUrl } from '../../../contract/pages.ts';
import type { Service } from '../../../contract/service/service.ts';
import { includesRight } from '../../../contract/stack.ts';
import { connectGrants } from '../../../services/oauth/connect.ts';
import { ConfirmPage } from '../../layout/confirm_page.tsx';
import { definePage, type PageContext, type PageEnv, type PageParts, textOf } from '../../page.ts';
import { redirectTo, showPage } from '../../respond.tsx';
import { isRefusal, refusalStatus } from '../credentials/lookup.ts';
import { Shown } from './approval_view.tsx';
import {
  APPROVALS_PATH,
  ApprovalLists,
  approvalPath,
  extentOf,
  KINDS,
  NotAPerson,
  withVisibleTexts,
} from './lists.tsx';
import { readNarrowed, shownNarrowing } from './narrow.tsx';
import { CONFIRM_FIELD, choiceOf, NEXT_FIELD, SEEN_FIELD } from './request_choice.tsx';

const ONE = `${APPROVALS_PATH}/:approval_id`;
const TITLE = 'Approvals';
const SECTION = 'approvals';
const VIEW = { title: TITLE, section: SECTION } as const;

export const approvalPages = definePage({
  register(app, parts) {
    registerLists(app, parts);
    registerDecisions(app, parts);
    registerRevocation(app, parts);
  },
});

function registerLists(app: Hono<PageEnv>, { vault }: PageParts): void {
  app.get(APPROVALS_PATH, async (c) => {
    const { caller } = c.var;
    if (!isPerson(caller)) return showPage(c, { ...VIEW, status: 403 }, <NotAPerson />);
    const [pending, decided] = await Promise.all([
      vault.approvals.list(caller),
      vault.approvals.listDecided(caller, 'all'),
    ]);
    return showPage(
      c,
      VIEW,
      <ApprovalLists pending={pending.map(withVisibleTexts)} decided={decided.map(withVisibleTexts)} />,
    );
  });
}

function registerDecisions(app: Hono<PageEnv>, parts: PageParts): void {
  const { vault } = parts;
  app.get(ONE, async (c) => {
    if (!isPerson(c.var.caller)) return showPage(c, { ...VIEW, status: 403 }, <NotAPerson />);
    return showApproval(c, parts, await vault.approvals.get(c.var.caller, c.req.param('approval_id')));
  });

  app.post(ONE, async (c) => {
    const approval = await vault.approvals.get(c.var.caller, c.req.param('approval_id'));
    try {
      return await decide(c, parts, approval);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return showApproval(c, parts, approval, error);
    }
  });
}

function registerRevocation(app: Hono<PageEnv>, { vault }: PageParts): void {
  app.get(`${ONE}/revoke`, async (c) => {
    const approval = await vault.approvals.get(c.var.caller, c.req.param('approval_id'));
    const content = (
      <ConfirmPage
        title="Revoke this approval?"
        text={
          <p>
            It covers {extentOf(approval)}. The next such request waits for a new approval. A request that was
            sent already is not undone.
          </p>
        }
        label="Revoke approval"
        action={`${approvalPath(approval.id)}/revoke`}
        cancel_href={APPROVALS_PATH}
        csrf={c.var.csrf}
      />
    );
    return showPage(c, { ...VIEW, title: 'Revoke approval' }, content);
  });

  app.post(`${ONE}/revoke`, async (c) => {
    await vault.approvals.revoke(c.var.caller, c.req.param('approval_id'));
    return redirectTo(c, APPROVALS_PATH, { kind: 'success', text: 'The approval was revoked.' });
  });
}

async function showApproval(
  c: PageContext,
  { vault }: PageParts,
  approval: Approval,
  refusal?: VaultError,
): Promise<Response> {
  const { caller, csrf, form } = c.var;
  const stacks = approval.kind === 'access_request' ? await vault.stacks.list(caller) : [];
  const service = vault.services.find(approval.service_id);
  const content = (
    <Shown
      approval={withVisibleTexts(approval)}
      service_name={service?.name ?? approval.service_id}
      next={service && nextStep(service)}
      stacks={stacks.filter(({ role }) => includesRight(role, 'edit'))}
      narrowing={shownNarrowing(approval, refusal && form)}
      seen={fingerprintOf(approval)}
      csrf={csrf}
      problem={refusal?.message}
    />
  );
  return showPage(c, { ...VIEW, title: KINDS[approval.kind], status: refusalStatus(refusal) }, content);
}

async function decide(c: PageContext, parts: PageParts, approval: Approval): Promise<Response> {
  const { caller, form } = c.var;
  const { approvals } = parts.vault;
  const { id, kind } = approval;
  if (textOf(form, 'decision') === 'deny') {
    const { summary } = await approvals.deny(caller, id);
    return redirectTo(c, APPROVALS_PATH, { kind: 'notice', text: `Denied: ${summary}` });
  }
  if (textOf(form, 'decision') !== 'approve')
    throw new VaultError('INVALID_INPUT', 'Choose to approve or to deny.');
  // While the person reads, the definition of the service can get other hosts.
  if (textOf(form, SEEN_FIELD) !== fingerprintOf(approval))
    throw new VaultError('CONFLICT', 'It has changed since you opened this page. Check it again.');
  if (kind === 'access_request') return acceptAccess(c, parts, approval);
  if (kind === 'destination' && textOf(form, CONFIRM_FIELD) === '')
    throw new VaultError('INVALID_INPUT', 'Confirm that the new destination may receive the values.');
  const choice = kind === 'request' ? choiceOf(form) : {};
  const { summary } = await approvals.approve(caller, id, undefined, choice);
  return redirectTo(c, APPROVALS_PATH, { kind: 'success', text: `Approved: ${summary}` });
}

async function acceptAccess(c: PageContext, parts: PageParts, approval: Approval): Promise<Response> {
  const { caller, form } = c.var;
  const limits = readNarrowed(form, approval, parts.now());
  const accepted = await parts.vault.approvals.accept(caller, approval.id, limits);
  try {
    return await continueToValues(c, parts.vault, accepted);
  } catch (error) {
    // The decision is made: this session cannot enter the values, or too many handles wait.
    if (!(error instanceof VaultError)) throw error;
    const text = `Accepted, but the values are still missing. ${error.message}`;
    return redirectTo(c, APPROVALS_PATH, { kind: 'notice', text });
  }
}

/** Goes to where the person enters the values or connects the account. */
async function continueToValues(
  c: PageContext,
  vault: PageParts['vault'],
  accepted: Approval,
): Promise<Response> {
  const { caller, form, setFlash } = c.var;
  const { service_id, stack_id } = accepted;
  const named = { service_id, stack_id, name: accepted.name ?? undefined };
  const service = vault.services.get(service_id);
  const { required_credentials_added, credential_id } = await vault.status(caller, named);
  if (credential_id !== null && required_credentials_added)
    return redirectTo(c, APPROVALS_PATH, {
      kind: 'success',
      text: `Accepted. ${service.name} is connected already, and the agent can use it.`,
    });
  const connects = textOf(form, NEXT_FIELD) === 'connect' && connectGrants(service).length > 0;
  const next = connects
    ? connectUrl('', { ...named, name: accepted.name })
    : handleUrl('', (await vault.handles.create(caller, named)).handle);
  setFlash({ kind: 'success', text: `Accepted. The agent can use ${service.name} after the next step.` });
  return c.redirect(next, 303);
}

/** What a person does first for a service that can be connected with OAuth; `undefined` for others. */
function nextStep(service: Service): 'connect' | 'enter' | undefined {
  if (connectGrants(service).length === 0) return undefined;
  return /oauth2?$/.test(service.credential_types[0] ?? '') ? 'connect' : 'enter';
}

/** Of all that the page shows. */
function fingerprintOf(approval: Approval): string {
  return hash('sha256', JSON.stringify(approval), 'base64url');
}
