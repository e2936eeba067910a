/** Connects a service with OAuth: starts an authorization code or a device code grant, and shows how the latter ends. */
import { type Connected, ConnectInput } from '../../../contract/connection.ts';
import type { VaultError } from '../../../contract/errors.ts';
import { connectUrl } from '../../../contract/pages.ts';
import { parseInput } from '../../../contract/validation.ts';
import { showProviderLink } from '../../layout/provider_link.tsx';
import { definePage, type PageContext, type PageParts, textOf } from '../../page.ts';
import { redirectTo, showPage } from '../../respond.tsx';
import { credentialPath, isRefusal, refusalStatus } from '../credentials/lookup.ts';
import { ConnectPage, DeviceEnd, DeviceWaits } from './connect_view.tsx';
import { storeClientFields } from './store_client_fields.ts';

const PATH = '/dashboard/connect/:service_id';
const DEVICE_PATH = '/dashboard/connect/:service_id/device/:device_id';

export const connectPages = definePage({
  register(app, parts) {
    const { connections, callback_url } = parts;

    app.get(PATH, (c) => show(c, parts, inputOf(c)));

    app.post(PATH, async (c) => {
      const { caller, form } = c.var;
      const input = inputOf(c);
      const description = await connections.describe(caller, input);
      try {
        await storeClientFields(parts, caller, input, description, form);
        if (textOf(form, 'grant') === 'device_code') {
          const { device_id } = await connections.startDevice(caller, input);
          return redirectTo(c, devicePath(input, device_id));
        }
        const { authorization_url } = await connections.start(caller, input, callback_url);
        return showProviderLink(c, description.service_name, authorization_url);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        return show(c, parts, input, error);
      }
    });

    app.get(DEVICE_PATH, async (c) => {
      const input = inputOf(c);
      const service = parts.vault.services.get(input.service_id);
      const found = await connections.deviceState(c.var.caller, c.req.param('device_id'));
      if (found.state === 'connected') {
        const { connected } = found;
        const message = { kind: 'success', text: connectedText(connected) } as const;
        return redirectTo(c, credentialPath(connected.credential_id), message);
      }
      if (found.state !== 'pending')
        return showPage(
          c,
          { title: 'Not connected' },
          <DeviceEnd found={found} again={connectUrl('', input)} />,
        );
      c.header('Refresh', String(Math.ceil(found.device.interval_ms / 1_000)));
      return showPage(
        c,
        { title: `Connect ${service.name}` },
        <DeviceWaits service={service} device={found.device} />,
      );
    });
  },
});

/** What a person reads after a connection. */
export function connectedText({ service_name, missing_scopes, is_refreshable }: Connected): string {
  const scopes =
    missing_scopes.length === 0 ? '' : ` ${service_name} did not permit: ${missing_scopes.join(', ')}.`;
  const refresh = is_refreshable ? '' : ' Connect again when the access token has expired.';
  return `${service_name} is connected.${scopes}${refresh}`;
}

/** The credential that the address names. */
function inputOf(c: PageContext): ConnectInput {
  const { stack, name } = c.req.query();
  return parseInput(ConnectInput, {
    service_id: c.req.param('service_id'),
    ...(stack === undefined ? {} : { stack_id: stack }),
    ...(name === undefined ? {} : { name }),
  });
}

function devicePath(input: ConnectInput, device_id: string): string {
  const [path, query] = connectUrl('', input).split('?');
  return `${path}/device/${encodeURIComponent(device_id)}${query === undefined ? '' : `?${query}`}`;
}

async function show(
  c: PageContext,
  { vault, connections, callback_url }: PageParts,
  input: ConnectInput,
  refusal?: VaultError,
): Promise<Response> {
  const description = await connections.describe(c.var.caller, input);
  const service = vault.services.get(input.service_id);
  const content = (
    <ConnectPage
      description={description}
      service={service}
      input={input}
      callback_url={callback_url}
      csrf={c.var.csrf}
      problem={refusal?.message}
    />
  );
  const status = refusalStatus(refusal);
  return showPage(c, { title: `Connect ${service.name}`, section: 'services', status }, content);
}
