/**
 * The page on which a person enters the values that an agent requested with a handle. Shows where they go, never a value: also
 * not the ones that were sent and refused.
 */
import type { FC } from 'hono/jsx';
import { VaultError } from '../../contract/errors.ts';
import type { OpenHandle } from '../../contract/handle.ts';
import type { Service } from '../../contract/service/service.ts';
import { readFieldValues } from '../forms/read_fields.ts';
import { hasFileField, ValueField } from '../forms/service_fields.tsx';
import { Button, Card, Fact, PostForm, Time } from '../layout/components.tsx';
import { Logo } from '../layout/logo.tsx';
import { definePage, textOf } from '../page.ts';
import { showPage } from '../respond.tsx';

const PATH = '/dashboard/enter/:handle';
const TITLE = 'Enter values';

export const enterPages = definePage({
  register(app, { vault }) {
    app.get(PATH, async (c) => {
      const handle = c.req.param('handle');
      const opened = await openOrEnd(() => vault.handles.open(c.var.caller, handle));
      if (opened instanceof VaultError)
        return showPage(c, { title: TITLE, status: 410 }, <Ended error={opened} />);
      const service = vault.services.get(opened.service_id);
      const content = <Enter opened={opened} service={service} action={c.req.path} csrf={c.var.csrf} />;
      return showPage(c, { title: TITLE }, content);
    });

    app.post(PATH, async (c) => {
      const handle = c.req.param('handle');
      const { caller, form } = c.var;
      const opened = await openOrEnd(() => vault.handles.open(caller, handle));
      if (opened instanceof VaultError)
        return showPage(c, { title: TITLE, status: 410 }, <Ended error={opened} />);
      if (textOf(form, 'decision') === 'decline') {
        await vault.handles.decline(caller, handle);
        return c.redirect(`${c.req.path}/end`, 303);
      }
      try {
        await vault.handles.complete(caller, handle, await readFieldValues(form));
        return c.redirect(`${c.req.path}/end`, 303);
      } catch (error) {
        if (error instanceof VaultError && error.code === 'EXPIRED')
          return c.redirect(`${c.req.path}/end`, 303);
        const is_refused = error instanceof VaultError && ['INVALID_INPUT', 'UPSTREAM'].includes(error.code);
        if (!is_refused) throw error;
        const service = vault.services.get(opened.service_id);
        const content = (
          <Enter
            opened={opened}
            service={service}
            action={c.req.path}
            csrf={c.var.csrf}
            problem={error.message}
          />
        );
        return showPage(c, { title: TITLE, status: 400 }, content);
      }
    });

    // After the redirect, so that a reload sends nothing again.
    app.get(`${PATH}/end`, async (c) => {
      const opened = await openOrEnd(() => vault.handles.open(c.var.caller, c.req.param('handle')));
      if (!(opened instanceof VaultError)) return c.redirect(c.req.path.slice(0, -'/end'.length), 303);
      if (opened.reason === 'handle_used') return showPage(c, { title: 'Saved' }, <Saved />);
      const status = opened.reason === 'handle_declined' ? 200 : 410;
      return showPage(c, { title: TITLE, status }, <Ended error={opened} />);
    });
  },
});

/** The error of a handle that has ended. A handle that is unknown or of another user is a page that does not exist. */
async function openOrEnd(open: () => Promise<OpenHandle>): Promise<OpenHandle | VaultError> {
  try {
    return await open();
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    if (error.code === 'EXPIRED') return error;
    throw error.code === 'NOT_FOUND'
      ? new VaultError('NOT_FOUND', 'There is no page at this address.')
      : error;
  }
}

interface EnterProps {
  readonly opened: OpenHandle;
  readonly service: Service;
  readonly action: string;
  readonly csrf: string;
  /** Why the sent values were refused. */
  readonly problem?: string;
}

const Enter: FC<EnterProps> = ({ opened, service, action, csrf, problem }) => {
  const shown = service.fields.filter(({ field_id }) =>
    opened.fields.some((one) => one.field_id === field_id),
  );
  const refused = shown.find(({ field_id }) => problem?.startsWith(`The value of ${field_id} `));
  return (
    <div class="enter">
      <div class="enter-heading">
        <Logo service_id={service.slug} name={service.name} />
        <h1>{opened.replaces ? `Replace values for ${service.name}` : `Connect ${service.name}`}</h1>
      </div>
      <p class="page-text">
        An agent requests these values. It can use them, and never sees them. Continue only if it showed you
        the code <strong class="enter-code">{opened.code}</strong>
      </p>
      <Facts opened={opened} service={service} />
      {problem !== undefined && (
        <p class="message message-error" role="alert">
          {refused === undefined ? problem : `The value of ${refused.name} was refused. See the field below.`}{' '}
          Nothing was saved. Enter all values again: this page does not keep them.
        </p>
      )}
      <PostForm action={action} csrf={csrf} files={hasFileField(shown)}>
        {shown.map((field) => (
          <ValueField
            field={field}
            required={opened.fields.some((one) => one.field_id === field.field_id && one.required)}
            problem={field === refused ? problem?.replace(field.field_id, field.name) : undefined}
          />
        ))}
        {opened.verify && (
          <p class="muted small">
            The values are tested first, and saved only if {service.name} accepts them.
          </p>
        )}
        <div class="enter-actions">
          <Button name="decision" value="save">
            Save
          </Button>
          <button
            class="button button-secondary"
            type="submit"
            name="decision"
            value="decline"
            formnovalidate
          >
            Decline
          </button>
        </div>
      </PostForm>
      <p class="muted small">
        The page expires <Time at={opened.expires_at} />, and works once.
      </p>
    </div>
  );
};

const Facts: FC<{ readonly opened: OpenHandle; readonly service: Service }> = ({ opened, service }) => (
  <Card>
    <dl class="facts">
      <Fact term="Requested by">
        {opened.claimed_client === null ? (
          `a program over ${opened.edge}`
        ) : (
          <>
            {opened.claimed_client} <span class="muted">(as it calls itself)</span>
          </>
        )}
        {opened.api_key_id !== null && (
          <span class="muted"> with API key {opened.api_key_id.slice(0, 8)}</span>
        )}
      </Fact>
      <Fact term="Saved as">
        {service.name}
        {opened.name !== null && <>, {opened.name}</>}{' '}
        <span class="muted">in the stack {opened.stack_id}</span>
      </Fact>
      <Fact term="Sent to">{destinationText(opened, service)}</Fact>
    </dl>
  </Card>
);

function destinationText({ destination }: OpenHandle, { name, hosts }: Service): string {
  if (destination === null) return hosts.length === 0 ? `the host that you enter` : hosts.join(', ');
  return destination.length === 0 ? `${name}, not over HTTP` : destination.join(', ');
}

const Saved: FC = () => (
  <div class="empty">
    <h1>Saved</h1>
    <p>The values are stored, encrypted. You can close this page; the agent sees that it is done.</p>
  </div>
);

const Ended: FC<{ readonly error: VaultError }> = ({ error }) => (
  <div class="empty">
    <h1>{error.reason === 'handle_declined' ? 'Declined' : 'This link has ended'}</h1>
    <p>{error.message} You can close this page; the agent sees it.</p>
  </div>
);
