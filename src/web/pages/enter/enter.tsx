/**
 * The page on which a person enters the values that an agent requested with a handle, or connects the service instead. Shows where they
 * go, never a value: also not the ones that were sent and refused.
 */
import type { ConnectInput } from '../../../contract/connection.ts';
import { VaultError } from '../../../contract/errors.ts';
import type { OpenHandle } from '../../../contract/handle.ts';
import { connectGrants } from '../../../services/oauth/connect.ts';
import { readFieldValues } from '../../forms/read_fields.ts';
import { showProviderLink } from '../../layout/provider_link.tsx';
import { definePage, type PageContext, type PageParts, textOf } from '../../page.ts';
import { showPage } from '../../respond.tsx';
import { storeClientFields } from '../connect/store_client_fields.ts';
import { isRefusal } from '../credentials/lookup.ts';
import { Ended, Enter, endOf, type Problem, Saved } from './enter_view.tsx';

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
