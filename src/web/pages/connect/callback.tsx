/**
 * Where a provider sends the browser back to. The code and the state leave the address bar at once: both outcomes go on to
 * another page. A callback changes something although it is a GET: the state, which only the person's browser has, permits it.
 */
import { VaultError } from '../../../contract/errors.ts';
import { CALLBACK_PATH } from '../../../contract/pages.ts';
import { ButtonLink } from '../../layout/components.tsx';
import { Outcome } from '../../layout/outcome.tsx';
import { definePage } from '../../page.ts';
import { redirectTo, showPage } from '../../respond.tsx';
import { assertCallbackMethod } from '../../session/request_checks.ts';
import { credentialPath } from '../credentials/lookup.ts';
import { connectedText } from './connect.tsx';

const RESULT_PATH = '/dashboard/oauth/result';

export const callbackPages = definePage({
  register(app, { connections }) {
    app.get(CALLBACK_PATH, async (c) => {
      assertCallbackMethod(c.req.method);
      try {
        const connected = await connections.finish(c.var.caller, new URL(c.req.url).searchParams);
        const { completes_handle, credential_id } = connected;
        const agent = completes_handle ? ' The agent sees it. You can close this page.' : '';
        const message = { kind: 'success', text: connectedText(connected) + agent } as const;
        const has_credential_page = c.var.view.sections.includes('services') && !completes_handle;
        return redirectTo(c, has_credential_page ? credentialPath(credential_id) : RESULT_PATH, message);
      } catch (error) {
        if (!(error instanceof VaultError)) throw error;
        const kind = error.reason === 'connection_declined' ? 'notice' : 'error';
        return redirectTo(c, RESULT_PATH, { kind, text: error.message });
      }
    });

    app.get(RESULT_PATH, (c) => {
      const { messages, sections } = c.var.view;
      const [message] = messages;
      c.set('view', { ...c.var.view, messages: [] });
      const is_connected = message?.kind === 'success';
      const title = is_connected ? 'Connected' : 'Not connected';
      const text = message?.text ?? 'This connection has ended. The page of the credential shows its state.';
      return showPage(
        c,
        { title },
        <Outcome mark={is_connected ? 'done' : 'ended'} title={title} text={text}>
          {sections.includes('services') && <ButtonLink href="/dashboard">Go to services</ButtonLink>}
        </Outcome>,
      );
    });
  },
});
