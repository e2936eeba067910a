/**
 * What an OAuth client is told before it has a token (RFC 9728): who issues tokens for this server, and which scopes to
 * ask for. Without an issuer every such question is answered with 404: to some clients any other answer means that keys
 * are not taken.
 */

import type { TokenIssuer } from '../../contract/caller.ts';
import { NEW_KEY_SCOPES } from '../../contract/caller.ts';
import type { OpenMount } from '../mount.ts';

const METADATA_PATH = '/.well-known/oauth-protected-resource';

/** Serves `/.well-known/`. `resource_path` is where the protected resource begins, such as /mcp. */
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
      const known = pathname === METADATA_PATH || pathname === METADATA_PATH + resource_path;
      if (issuer === undefined || !known) {
        const error = { code: 'NOT_FOUND', message: 'There is nothing here.' };
        return Response.json({ error }, { status: 404 });
      }
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        const error = { code: 'INVALID_INPUT', message: 'This can only be read.' };
        return Response.json({ error }, { status: 405, headers: { allow: 'GET, HEAD' } });
      }
      return Response.json(metadata(public_url, resource_path, issuer));
    },
  };
}

/** What WWW-Authenticate says beside a 401 at `resource_path`. */
export function challengeFor(
  public_url: string,
  resource_path: string,
  issuer: TokenIssuer | undefined,
): string {
  if (issuer === undefined) return 'Bearer';
  const scope = NEW_KEY_SCOPES.join(' ');
  return `Bearer resource_metadata="${public_url}${METADATA_PATH}${resource_path}", scope="${scope}"`;
}

function metadata(public_url: string, resource_path: string, { issuer, audience }: TokenIssuer) {
  return {
    resource: isHere(audience, public_url) ? audience : public_url + resource_path,
    authorization_servers: [issuer],
    // Clients ask for all that stands here, so what few need is left out.
    scopes_supported: NEW_KEY_SCOPES,
    bearer_methods_supported: ['header'],
    resource_name: 'Keyhold',
  };
}

/** Clients ask for a token for `resource`, and take only one that is of the server they talk to. */
function isHere(audience: string, public_url: string): boolean {
  return URL.canParse(audience) && new URL(audience).origin === new URL(public_url).origin;
}
