/**
 * The API keys of the person, and for an administrator those of the organization. A key is on the page that follows its
 * creation or rotation and nowhere else: not in a URL, a message or a later page. The vault checks who may.
 */
import type { Hono } from 'hono';
import type { FC } from 'hono/jsx';
import type { ApiKeyInfo, CreateKeyInput, NewApiKey } from '../../../contract/api_key.ts';
import { VaultError } from '../../../contract/errors.ts';
import { grantableScopes } from '../../../vault/api_keys/policy.ts';
import { ButtonLink, Card, Code, PageHeading } from '../../layout/components.tsx';
import { ConfirmPage } from '../../layout/confirm_page.tsx';
import { definePage, type PageContext, type PageEnv, type PageParts } from '../../page.ts';
import { redirectTo, showPage } from '../../respond.tsx';
import { isRefusal, refusalStatus } from '../credentials/lookup.ts';
import { CreateKey, type CreateKeyFields, readNewKey, shownFields } from './create_key.tsx';
import { KEYS_PATH, KeyList, keyPath, labelOf } from './key_list.tsx';

const SECTION = 'keys';
const TITLE = 'API keys';

export const keyPages = definePage({
  register(app, parts) {
    registerList(app, parts);
    registerCreation(app, parts);
    registerRotation(app, parts);
    registerRevocation(app, parts);
  },
});

function registerList(app: Hono<PageEnv>, { vault, now }: PageParts): void {
  app.get(KEYS_PATH, async (c) => {
    const { caller } = c.var;
    if (!caller.scopes.has('keys:write'))
      return showPage(c, { title: TITLE, section: SECTION }, <NotAllowed />);
    const list = await vault.api_keys.list(caller);
    return showPage(c, { title: TITLE, section: SECTION }, <KeyList {...list} caller={caller} now={now()} />);
  });
}

function registerCreation(app: Hono<PageEnv>, { vault, now }: PageParts): void {
  const path = `${KEYS_PATH}/new`;
  const show = async (c: PageContext, fields: CreateKeyFields, refusal?: VaultError) => {
    const { caller, csrf } = c.var;
    const stacks = await vault.stacks.list(caller);
    const content = (
      <CreateKey
        fields={fields}
        scopes={grantableScopes(caller)}
        stacks={stacks}
        nameOf={(service_id) => vault.services.find(service_id)?.name ?? service_id}
        is_admin={caller.scopes.has('org:admin')}
        csrf={csrf}
        problem={refusal?.message}
      />
    );
    return showPage(c, { title: 'Create a key', section: SECTION, status: refusalStatus(refusal) }, content);
  };

  app.get(path, async (c) => {
    if (!c.var.caller.scopes.has('keys:write'))
      return showPage(c, { title: TITLE, section: SECTION }, <NotAllowed />);
    return show(c, shownFields());
  });

  app.post(path, async (c) => {
    const { caller, form } = c.var;
    let input: CreateKeyInput;
    try {
      input = readNewKey(form, now());
      return showNewKey(c, 'Created', await vault.api_keys.create(caller, input));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return show(c, shownFields(form), error);
    }
  });
}

function registerRotation(app: Hono<PageEnv>, { vault }: PageParts): void {
  const path = `${KEYS_PATH}/:key_id/rotate`;
  app.get(path, async (c) => {
    const key = await findKey(vault, c);
    const content = (
      <ConfirmPage
        title={`Rotate ${labelOf(key)}?`}
        text={`The present key stops working at once. The new one, with the same permissions, is shown once.${ownKeyWarning(c, key)}`}
        label="Rotate key"
        action={`${keyPath(key.id)}/rotate`}
        cancel_href={KEYS_PATH}
        csrf={c.var.csrf}
      />
    );
    return showPage(c, { title: 'Rotate a key', section: SECTION }, content);
  });

  app.post(path, async (c) => {
    try {
      return showNewKey(c, 'Rotated', await vault.api_keys.rotate(c.var.caller, c.req.param('key_id')));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return redirectTo(c, KEYS_PATH, { kind: 'error', text: error.message });
    }
  });
}

function registerRevocation(app: Hono<PageEnv>, { vault }: PageParts): void {
  const path = `${KEYS_PATH}/:key_id/revoke`;
  app.get(path, async (c) => {
    const key = await findKey(vault, c);
    const content = (
      <ConfirmPage
        title={`Revoke ${labelOf(key)}?`}
        text={`Programs that use it stop working at once. This cannot be undone.${ownKeyWarning(c, key)}`}
        label="Revoke key"
        action={`${keyPath(key.id)}/revoke`}
        cancel_href={KEYS_PATH}
        csrf={c.var.csrf}
      />
    );
    return showPage(c, { title: 'Revoke a key', section: SECTION }, content);
  });

  app.post(path, async (c) => {
    try {
      await vault.api_keys.revoke(c.var.caller, c.req.param('key_id'));
      return redirectTo(c, KEYS_PATH, { kind: 'success', text: 'The key was revoked.' });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return redirectTo(c, KEYS_PATH, { kind: 'error', text: error.message });
    }
  });
}

async function findKey(vault: PageParts['vault'], c: PageContext): Promise<ApiKeyInfo> {
  const { keys } = await vault.api_keys.list(c.var.caller);
  const key = keys.find(({ id }) => id === c.req.param('key_id'));
  if (key === undefined) throw new VaultError('NOT_FOUND', 'There is no such API key.');
  return key;
}

function ownKeyWarning(c: PageContext, { id }: ApiKeyInfo): string {
  return id === c.var.caller.api_key_id ? ' You are signed in with this key, and will be signed out.' : '';
}

/**
 * The response to the POST itself: a redirect would need the key in a URL, a cookie or a store. `reload`: a repeated POST would
 * create a second key, or rotate the key that the person has just copied. Without scripts, browsers repeat
 * it only after a confirmation.
 */
function showNewKey(c: PageContext, action: 'Created' | 'Rotated', made: NewApiKey): Response {
  return showPage(c, { title: `${action} a key`, section: SECTION }, <NewKey action={action} made={made} />);
}

const NewKey: FC<{ readonly action: 'Created' | 'Rotated'; readonly made: NewApiKey }> = ({
  action,
  made,
}) => (
  <>
    <PageHeading title={`${action} ${labelOf(made)}`} back={{ href: KEYS_PATH, label: TITLE }} />
    {made.notice !== undefined && <p class="message message-notice">{made.notice}</p>}
    <Card title="Copy the key now">
      <div class="stack new-key">
        <p class="muted">
          It is shown only once. Save it where the program that uses it keeps its secrets, and never paste it
          into a chat.{action === 'Rotated' && ' The previous key no longer works.'}
        </p>
        <p>
          <Code text={made.key} />
        </p>
        <p class="muted">
          A program sends it as <code>Authorization: Bearer</code>; the command line reads it from{' '}
          <code>KEYHOLD_API_KEY</code>.
        </p>
        <div class="actions">
          <ButtonLink href={KEYS_PATH} kind="primary" reload>
            I have saved it
          </ButtonLink>
        </div>
      </div>
    </Card>
  </>
);

const NotAllowed: FC = () => (
  <>
    <PageHeading title={TITLE} text="An API key lets a program act as you." />
    <div class="empty">
      <h2>This sign-in cannot manage keys</h2>
      <p>
        It lacks the scope <code>keys:write</code>. On the machine of the vault, sign in with{' '}
        <Code text="keyhold open" />, or create a key that has the scope:
      </p>
      <p>
        <Code text="keyhold keys create --scopes credentials:read,keys:write,approvals:decide" />
      </p>
    </div>
  </>
);
