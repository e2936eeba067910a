/**
 * Protected resource metadata (RFC 9728): names the issuer of tokens for this server, and the scopes to request. Without
 * an issuer every request gets 404: some clients take any other response to mean that API keys are not accepted.
 */

import type { TokenIssuer } from '../../contract/caller.ts';
import { NEW_KEY_SCOPES } from '../../contract/caller.ts';
import type { OpenMount } from '../mount.ts';
import type { BearerChallenge } from './bearer_challenge.ts';

const METADATA_PATH = '/.well-known/oauth-protected-resource';

/** Serves `/.well-known/`. `resource_path`: the path of the protected resource, such as /mcp. */
export function wellKnownMount(
  public_url: string,
  resource_path: string,
  issuer: TokenIssuer | undefined,
): OpenMount {
  return {
    name: 'well_known',
    path: '/.well-known/*',
    edge: 'rest',
    access: 'open',
    content_types: [],
    handler: (request) => {
      const { pathname } = new URL(request.url);
      const is_metadata = pathname === METADATA_PATH || pathname === METADATA_PATH + resource_path;
      if (issuer === undefined || !is_metadata) {
        const error = { code: 'NOT_FOUND', message: 'Not found.' };
        return Response.json({ error }, { status: 404 });
      }
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        const error = { code: 'INVALID_INPUT', message: 'Method not allowed. Use GET.' };
        return Response.json({ error }, { status: 405, headers: { allow: 'GET, HEAD' } });
      }
      return Response.json(metadata(public_url, resource_path, issuer));
    },
  };
}

/** Returns the challenge parameters of a 401 at `resource_path`. */
export function challengeFor(
  public_url: string,
  resource_path: string,
  issuer: TokenIssuer | undefined,
): BearerChallenge {
  if (issuer === undefined) return {};
  const resource_metadata = public_url + METADATA_PATH + resource_path;
  return { resource_metadata, scope: NEW_KEY_SCOPES.join(' ') };
}

function metadata(public_url: string, resource_path: string, { issuer, audience }: TokenIssuer) {
  return {
    resource: isOnServer(audience, public_url) ? audience : public_url + resource_path,
    authorization_servers: [issuer],
    // Clients request all of these, so scopes that few need are not listed.
    scopes_supported: NEW_KEY_SCOPES,
    bearer_methods_supported: ['header'],
    resource_name: 'Keyhold',
  };
}

/** Clients request a token for `resource`, and require that it is on the server that they talk to. */
function isOnServer(audience: string, public_url: string): boolean {
  return URL.canParse(audience) && new URL(audience).origin === new URL(public_url).origin;
}
