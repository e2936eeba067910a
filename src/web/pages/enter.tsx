/**
 * The page on which a person enters the values that an agent requested with a handle. Shows where they go, never a value: also
 * not the ones that were sent and refused.
 */
import type { FC } from 'hono/jsx';
import type { ConnectDescription, ConnectInput } from '../../contract/connection.ts';
import { type ErrorReason, VaultError } from '../../contract/errors.ts';
import type { OpenHandle } from '../../contract/handle.ts';
import type { Service } from '../../contract/service/service.ts';
import { connectGrants } from '../../services/oauth/connect.ts';
import { readFieldValues } from '../forms/read_fields.ts';
import { hasFileField, ValueField } from '../forms/service_fields.tsx';
import { Button, ButtonLink, Card, PostForm, Time } from '../layout/components.tsx';
import { Logo } from '../layout/logo.tsx';
import { Outcome } from '../layout/outcome.tsx';
import { definePage, type PageContext, type PageParts, textOf } from '../page.ts';
import { showPage } from '../respond.tsx';
import { ConnectForm } from './connect/connect_form.tsx';
import { showProviderLink } from './connect/provider_link.tsx';
import { storeClientFields } from './connect/store_client_fields.ts';
import { isRefusal } from './credentials/lookup.ts';
import { HandleFacts } from './handle_facts.tsx';

const PATH = '/dashboard/enter/:handle';
const TITLE = 'Enter values';

export const enterPages = definePage({
  register(app, parts) {
    const { vault, connections, callback_url, listenForCallback } = parts;

    app.get(PATH, async (c) => {
      const opened = await openOrEnd(() => vault.handles.open(c.var.caller, c.req.param('handle')));
      return opened instanceof VaultError ? showEnd(c, opened, 410) : showEnter(c, parts, opened);
    });

    app.post(PATH, async (c) => {
      const handle = c.req.param('handle');
      const { caller, form } = c.var;
      const opened = await openOrEnd(() => vault.handles.open(caller, handle));
      if (opened instanceof VaultError) return showEnd(c, opened, 410);
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
        return showEnter(c, parts, opened, { form: 'values', text: error.message });
      }
    });

    app.post(`${PATH}/connect`, async (c) => {
      const handle = c.req.param('handle');
      const { caller, form } = c.var;
      const opened = await openOrEnd(() => vault.handles.open(caller, handle));
      if (opened instanceof VaultError) return showEnd(c, opened, 410);
      const input = connectInput(opened);
      const description = await connections.describe(caller, input);
      try {
        await storeClientFields(parts, caller, input, description, form);
        await listenForCallback();
        const { authorization_url } = await connections.start(caller, input, callback_url, handle);
        return showProviderLink(c, description.service_name, authorization_url);
      } catch (error) {
        // Another program has the port of the callback.
        const is_port_taken = error instanceof VaultError && error.code === 'UNAVAILABLE';
        if (!is_port_taken && !isRefusal(error)) throw error;
        return showEnter(c, parts, opened, { form: 'connect', text: error.message });
      }
    });

    // After the redirect, so that a reload sends nothing again.
    app.get(`${PATH}/end`, async (c) => {
      const opened = await openOrEnd(() => vault.handles.open(c.var.caller, c.req.param('handle')));
      if (!(opened instanceof VaultError)) return c.redirect(c.req.path.slice(0, -'/end'.length), 303);
      if (opened.reason === 'handle_used') {
        const has_services = c.var.view.sections.includes('services');
        return showPage(c, { title: 'Saved' }, <Saved has_services={has_services} />);
      }
      return showEnd(c, opened, opened.reason === 'handle_declined' ? 200 : 410);
    });
  },
});

/** Why what was sent with one of the two forms of the page was refused. */
interface Problem {
  readonly form: 'values' | 'connect';
  readonly text: string;
}

async function showEnter(
  c: PageContext,
  { vault, connections, callback_url }: PageParts,
  opened: OpenHandle,
  problem?: Problem,
): Promise<Response> {
  const service = vault.services.get(opened.service_id);
  const can_connect = connectGrants(service).includes('authorization_code');
  const connection = can_connect
    ? { callback_url, description: await connections.describe(c.var.caller, connectInput(opened)) }
    : undefined;
  const content = (
    <Enter
      opened={opened}
      service={service}
      action={c.req.path.replace(/\/connect$/, '')}
      csrf={c.var.csrf}
      connection={connection}
      problem={problem}
    />
  );
  return showPage(c, { title: TITLE, status: problem === undefined ? 200 : 400 }, content);
}

function connectInput({ service_id, stack_id, name }: OpenHandle): ConnectInput {
  return { service_id, stack_id, ...(name === null ? {} : { name }) };
}

function showEnd(c: PageContext, error: VaultError, status: 200 | 410): Response {
  return showPage(c, { title: endOf(error).title, status }, <Ended error={error} />);
}

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
  /** `undefined`: the service is not connected in a browser. */
  readonly connection:
    | { readonly callback_url: string; readonly description: ConnectDescription }
    | undefined;
  readonly problem: Problem | undefined;
}

const Enter: FC<EnterProps> = ({ opened, service, action, csrf, connection, problem }) => (
  <div class="enter">
    <div class="enter-heading">
      <Logo service_id={service.slug} name={service.name} />
      <h1>{opened.replaces ? `Replace values for ${service.name}` : `Connect ${service.name}`}</h1>
    </div>
    <p class="page-text">
      {opened.edge === 'web' ? (
        'You accepted the request of an agent. It can use these values within your limits, and never sees them.'
      ) : (
        <>
          An agent requests this. It can use the values, and never sees them. Continue only if it showed you
          the code <strong class="enter-code">{opened.code}</strong>
        </>
      )}
    </p>
    <HandleFacts opened={opened} service={service} />
    {problem?.form === 'connect' && (
      <p class="message message-error" role="alert">
        {problem.text}
      </p>
    )}
    {connection === undefined ? (
      <EnterValues opened={opened} service={service} action={action} csrf={csrf} problem={problem} />
    ) : (
      <>
        <Card title={`Permit access at ${service.name}`}>
          <ConnectForm
            action={`${action}/connect`}
            csrf={csrf}
            service={service}
            description={connection.description}
            callback_url={connection.callback_url}
          />
        </Card>
        <details class="more-fields" open={problem?.form === 'values'}>
          <summary>Enter values, or decline</summary>
          <EnterValues opened={opened} service={service} action={action} csrf={csrf} problem={problem} />
        </details>
      </>
    )}
    <p class="muted small">
      The page expires <Time at={opened.expires_at} />, and works once.
    </p>
  </div>
);

const EnterValues: FC<Omit<EnterProps, 'connection'>> = ({
  opened,
  service,
  action,
  csrf,
  problem: found,
}) => {
  const problem = found?.form === 'values' ? found.text : undefined;
  const shown = service.fields.filter(({ field_id }) =>
    opened.fields.some((one) => one.field_id === field_id),
  );
  const refused = shown.find(({ field_id }) => problem?.startsWith(`The value of ${field_id} `));
  return (
    <>
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
    </>
  );
};

const Saved: FC<{ readonly has_services: boolean }> = ({ has_services }) => (
  <Outcome
    mark="done"
    title="Saved"
    text="The values are stored, encrypted. The agent sees that it is done. You can close this page."
  >
    {has_services && <ButtonLink href="/dashboard">Go to services</ButtonLink>}
  </Outcome>
);

const ENDS: Partial<Record<ErrorReason, { readonly title: string; readonly text: string }>> = {
  handle_used: {
    title: 'This link was used already',
    text: 'The values were stored. To change them again, let the agent request a new page.',
  },
  handle_declined: {
    title: 'Declined',
    text: 'This request was declined. Nothing was stored. The agent sees it. You can close this page.',
  },
  handle_expired: {
    title: 'This link has expired',
    text: 'Nothing was stored. Let the agent request a new page.',
  },
};

function endOf({ reason, message }: VaultError) {
  return (reason && ENDS[reason]) ?? { title: 'This link has ended', text: message };
}

const Ended: FC<{ readonly error: VaultError }> = ({ error }) => (
  <Outcome mark={error.reason === 'handle_expired' ? 'waiting' : 'ended'} {...endOf(error)} />
);
