/** The page of one credential and its actions: test, change values, rotate, switch off, protect, delete. */
import type { Hono } from 'hono';
import type { CredentialInfo, CredentialStatus } from '../../../contract/credential.ts';
import { VaultError } from '../../../contract/errors.ts';
import { fieldProblem, readExpiry, readFieldValues } from '../../forms/read_fields.ts';
import { ConfirmPage } from '../../layout/confirm_page.tsx';
import { definePage, type PageContext, type PageEnv, type PageParts, textOf } from '../../page.ts';
import { redirectTo, showPage } from '../../respond.tsx';
import { type ChangeKind, ChangeValues, changedFields } from './change_values.tsx';
import { Credential, shownName } from './credential_view.tsx';
import { credentialPath, isRefusal, namedBy, refusalStatus, statusOf } from './lookup.ts';

const PATH = '/dashboard/credentials/:credential_id';

export const credentialPages = definePage({
  register(app, parts) {
    registerPage(app, parts);
    registerActions(app, parts);
    for (const kind of ['change', 'rotate'] as const) registerChange(app, parts, kind);
    registerDeletion(app, parts);
  },
});

function registerPage(app: Hono<PageEnv>, { vault, now }: PageParts): void {
  app.get(PATH, async (c) => {
    const { caller, csrf } = c.var;
    const info = await vault.credentials.get(caller, c.req.param('credential_id'));
    const status = await statusOf(vault, caller, info);
    const service = vault.services.find(info.service_id);
    const content = <Credential info={info} status={status} service={service} now={now()} csrf={csrf} />;
    return showPage(c, { title: shownName(info, service), section: 'services' }, content);
  });
}

function registerActions(app: Hono<PageEnv>, { vault, tests }: PageParts): void {
  /** Goes back to the credential with a message, also if the action was refused. */
  const register = (action: string, run: (c: PageContext, id: string) => Promise<string>) =>
    app.post(`${PATH}/${action}`, async (c) => {
      const id = c.req.param('credential_id') ?? '';
      try {
        return redirectTo(c, credentialPath(id), { kind: 'success', text: await run(c, id) });
      } catch (error) {
        if (!isRefusal(error)) throw error;
        // Throws NOT_FOUND if the caller may not see the credential.
        await vault.credentials.get(c.var.caller, id);
        return redirectTo(c, credentialPath(id), { kind: 'error', text: error.message });
      }
    });

  app.post(`${PATH}/test`, async (c) => {
    const id = c.req.param('credential_id');
    try {
      const { result, message, next } = await tests.testById(c.var.caller, id);
      const kind = ({ valid: 'success', invalid: 'error', unknown: 'notice' } as const)[result];
      return redirectTo(c, credentialPath(id), { kind, text: `${message} ${next}` });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return redirectTo(c, credentialPath(id), { kind: 'error', text: error.message });
    }
  });
  register('switch', async (c, id) => {
    const inactive = textOf(c.var.form, 'inactive') === 'yes';
    await vault.credentials.change(c.var.caller, id, { inactive });
    return inactive ? 'Switched off. No agent can use it.' : 'Switched on. Agents can use it again.';
  });
  register('expiry', async (c, id) => {
    const info = await vault.credentials.get(c.var.caller, id);
    await assertOwn(vault, c, info);
    const expires_at = textOf(c.var.form, 'change') === 'remove' ? null : readExpiry(c.var.form);
    if (expires_at === undefined)
      throw new VaultError('INVALID_INPUT', 'Enter the date and time of the expiry.');
    await vault.update(c.var.caller, { ...namedBy(info), credentials: {}, expires_at });
    return expires_at === null ? 'It does not expire any more.' : 'The expiry was saved.';
  });
  register('protect', async (c, id) => {
    const info = await vault.credentials.get(c.var.caller, id);
    await assertOwn(vault, c, info);
    const is_protected = textOf(c.var.form, 'protected') === 'yes';
    await vault.setProtected(c.var.caller, namedBy(info), is_protected);
    return is_protected
      ? 'Protected. New values from agents wait for a person.'
      : 'No longer protected. Agents can replace its values.';
  });
}

/** The page that replaces values: any of them, or those of all secrets. */
function registerChange(app: Hono<PageEnv>, { vault }: PageParts, kind: ChangeKind): void {
  const show = async (c: PageContext, info: CredentialInfo, refusal?: VaultError) => {
    const status = await assertOwn(vault, c, info);
    const service = vault.services.get(info.service_id);
    const fields = changedFields(kind, service, status);
    const problem = refusal && fieldProblem(fields, refusal);
    const content = (
      <ChangeValues
        kind={kind}
        info={info}
        service={service}
        fields={fields}
        csrf={c.var.csrf}
        problem={problem}
      />
    );
    const title = kind === 'rotate' ? 'Rotate' : 'Change values';
    return showPage(c, { title, section: 'services', status: refusalStatus(refusal) }, content);
  };

  app.get(`${PATH}/${kind}`, async (c) =>
    show(c, await vault.credentials.get(c.var.caller, c.req.param('credential_id'))),
  );

  app.post(`${PATH}/${kind}`, async (c) => {
    const { caller, form } = c.var;
    const info = await vault.credentials.get(caller, c.req.param('credential_id'));
    const status = await assertOwn(vault, c, info);
    const service = vault.services.get(info.service_id);
    try {
      const credentials = await readFieldValues(form);
      const missing = changedFields(kind, service, status).find(
        ({ field_id }) => kind === 'rotate' && credentials[field_id] === undefined,
      );
      if (missing !== undefined)
        throw new VaultError('INVALID_INPUT', `The value of ${missing.field_id} is missing.`);
      const expires_at = readExpiry(form);
      const written = await vault.update(caller, {
        ...namedBy(info),
        credentials,
        verify: textOf(form, 'verify') !== '',
        ...(expires_at === undefined ? {} : { expires_at }),
      });
      const is_pending = written.status === 'pending_approval';
      return redirectTo(c, credentialPath(info.id), {
        kind: is_pending ? 'notice' : 'success',
        text: is_pending ? 'The credential is protected: the new values wait for a person.' : 'Saved.',
      });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return show(c, info, error);
    }
  });
}

function registerDeletion(app: Hono<PageEnv>, { vault }: PageParts): void {
  app.get(`${PATH}/delete`, async (c) => {
    const info = await vault.credentials.get(c.var.caller, c.req.param('credential_id'));
    const name = shownName(info, vault.services.find(info.service_id));
    const content = (
      <ConfirmPage
        title={`Delete ${name}?`}
        text="Its values are destroyed, and agents can no longer use it. This cannot be undone."
        label="Delete credential"
        action={`${credentialPath(info.id)}/delete`}
        cancel_href={credentialPath(info.id)}
        csrf={c.var.csrf}
      />
    );
    return showPage(c, { title: 'Delete credential', section: 'services' }, content);
  });

  app.post(`${PATH}/delete`, async (c) => {
    await vault.credentials.delete(c.var.caller, c.req.param('credential_id'));
    return redirectTo(c, '/dashboard', { kind: 'success', text: 'The credential was deleted.' });
  });
}

/** Rejects for a credential that operations by service and stack would not find. */
async function assertOwn(
  vault: PageParts['vault'],
  c: PageContext,
  info: CredentialInfo,
): Promise<CredentialStatus> {
  const status = await statusOf(vault, c.var.caller, info);
  if (status !== undefined) return status;
  throw new VaultError('FORBIDDEN', 'Only the user of this credential can change its values here.');
}
